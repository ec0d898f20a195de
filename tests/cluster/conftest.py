"""A study's database, and a command whose workers are Ray's, in a folder of Ray's own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import optuna
import pytest

from tests.study.conftest import postgresql  # noqa: F401  a fixture

EXPERIMENT = """
from tuner import Experiment, datasets, models


def space(trial):
    rate = trial.suggest_float("learning_rate", 1e-3, 1e-1, log=True)
    return {"hidden": [8], "learning_rate": rate, "batch_size": 16}


experiment = Experiment(
    name="iris", data=datasets.iris, model=models.MLP, search_space=space, folds=3, epochs=4, sampler="random",
    pruner="none",
)
"""
SCRIPT = """
import json, sys
from tuner.cli import _exit_code
from tuner.cluster import run_on_ray
from tuner.report.progress import progress_of
from tuner.study import Interrupted, Options

asked = json.loads(sys.argv[1])
address, workers, settings = asked.pop("address"), asked.pop("workers"), asked.pop("settings")
options = Options(tracking_uri=None, **asked)
say = lambda words: print("note:", words, file=sys.stderr, flush=True)
try:
    result = run_on_ray("iris.py", settings, STUDY, options, address=address, workers=workers,
                        progress=progress_of(options.trials), say=say)
except Interrupted as interruption:
    sys.exit(interruption.code)
print(json.dumps(result.as_json()))
"""


class Command:
    """Runs a study with Ray's workers; ``env`` is that of the command."""

    def __init__(self, folder, storage, ray_folder):
        self.folder, self.storage, self.name = folder, storage, f"iris-{uuid.uuid4().hex}"
        (folder / "iris.py").write_text(EXPERIMENT)
        self.env = os.environ | {"RAY_TMPDIR": str(ray_folder), "TUNER_STORAGE": storage, "RAY_AUTH_TOKEN": "0" * 32}

    def start(self, *settings, address="local", workers=1, **options):
        asked = {"address": address, "workers": workers, "settings": settings, **options}
        script = SCRIPT.replace("STUDY", repr(self.name)).replace(
            "**asked", "storage=__import__('os').environ['TUNER_STORAGE'], **asked"
        )
        with (self.folder / "err").open("w") as err:
            return subprocess.Popen(
                [sys.executable, "-c", script, json.dumps(asked)],
                cwd=self.folder,
                env=self.env,
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
            )

    @property
    def said(self):
        return (self.folder / "err").read_text()

    def trials(self):
        storage = optuna.storages.RDBStorage(self.storage)
        try:
            names = optuna.get_all_study_names(storage)
            return storage.get_all_trials(storage.get_study_id_from_name(self.name)) if self.name in names else []
        finally:
            storage.remove_session()
            storage.engine.dispose()


@pytest.fixture
def ray_folder():
    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")  # sockets have short paths
    yield Path(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def command(tmp_path, postgresql, ray_folder):  # noqa: F811
    return Command(tmp_path, postgresql, ray_folder)
