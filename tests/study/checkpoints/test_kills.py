"""A study whose process is killed, or asked to end, at any moment ends as one that was not."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient

import tuner
from tests.study.conftest import facts, iris_experiment
from tuner.study import Interrupted, Options, run_study
from tuner.study.checkpoints import newest_in
from tuner.tracking import MemorySink

ROOT = Path(__file__).parents[3]
TRIALS = 14

EXPERIMENT = """
from tests.study.conftest import iris_experiment
experiment = iris_experiment(epochs=400, pruner="asha", sampler="tpe")
"""


def start(project, *more):
    command = [sys.executable, "-m", "tuner.cli", "run", "iris.py", "--trials", str(TRIALS), "--deterministic"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*command, "--json", *more],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_until_done(project, seed, kills):
    """Run a study, killing its process at random moments of its training; how often it went on from a checkpoint."""
    rng, went_on = random.Random(seed), 0
    for _ in range(kills):
        every = rng.choice(["0.1", "60"])  # with the latter there may be none but that of the beginning
        process = start(project, "--tracking-uri", f"sqlite:///{project}/mlflow.db", "--checkpoint-every", every)
        folder = project / "tuner.db.checkpoints"
        before = newest(folder)
        deadline = time.monotonic() + 60
        while newest(folder) == before and process.poll() is None and time.monotonic() < deadline:
            if every == "60" and before:
                time.sleep(rng.uniform(4, 7))  # it starts in this time
                break
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.8))
        process.send_signal(signal.SIGKILL)
        _, err = process.communicate()
        went_on += "going on from a checkpoint" in err
    process = start(project, "--tracking-uri", f"sqlite:///{project}/mlflow.db")
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return went_on + ("going on from a checkpoint" in err), json.loads(out)


def newest(folder):
    return max((int(path.name) for path in folder.glob("*/*/*") if path.name.isdigit()), default=0)


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_a_study_that_was_killed_anywhere_is_the_one_that_was_not(tmp_path, kills):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "iris.py").write_text(EXPERIMENT)
    went_on, result = kill_until_done(tmp_path, seed=kills, kills=kills)
    assert went_on >= 1
    assert result["trials"]["running"] == result["trials"]["waiting"] == 0
    experiment = iris_experiment(epochs=400, pruner="asha", sampler="tpe")
    whole = tuner.run(
        experiment, trials=TRIALS, storage=f"sqlite:///{tmp_path}/whole.db", tracking_uri=None, deterministic=True
    )
    killed = optuna.load_study(study_name="iris", storage=f"sqlite:///{tmp_path}/tuner.db")
    assert facts(killed) == facts(whole.study)


def test_sigterm_keeps_what_runs_and_leaves_in_time(tmp_path):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "iris.py").write_text(EXPERIMENT.replace("epochs=400", "epochs=20000"))
    process = start(tmp_path, "--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db", "--checkpoint-every", "0.1")
    folder = tmp_path / "tuner.db.checkpoints"
    while newest(folder) < 3 and process.poll() is None:
        time.sleep(0.05)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143, err
    assert time.monotonic() - began < 10
    assert "tuner resume iris" in err
    assert "Traceback" not in err
    assert "not all was tracked" not in err
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (shown,) = client.search_runs(["1"], "tags.`tuner.state` = 'interrupted'")
    assert shown.info.status == "KILLED"
    found = newest_in(next(folder.glob("*/*")))
    assert any(kept.snapshot.epoch for kept in found.trials)
    study = optuna.load_study(study_name="iris", storage=f"sqlite:///{tmp_path}/tuner.db")
    assert not any(trial.state == optuna.trial.TrialState.RUNNING for trial in study.get_trials())


class Terminating(MemorySink):
    """Is asked to end at the first epoch."""

    def __init__(self, asked):
        super().__init__()
        self.asked = asked

    def epoch(self, number, epoch, metrics):
        super().epoch(number, epoch, metrics)
        asked, self.asked = self.asked, None
        if asked is not None:
            signal.raise_signal(asked)


@pytest.mark.parametrize(("asked", "drawn"), [(signal.SIGTERM, []), (signal.SIGINT, ["iris"])])
def test_sigterm_leaves_no_time_for_pictures(storage, asked, drawn):
    sink, found = Terminating(asked), []

    def draw(study, _memory):
        found.append(study.study_name)
        return ()

    options = Options(trials=4, storage=storage, tracking_uri=None)
    with pytest.raises(Interrupted):
        run_study(iris_experiment(epochs=400), None, [], "iris", options, progress=sink, draw=draw)
    assert found == drawn
    assert sink.outcome == "interrupted"


HANGING = """
import time
from tests.study.conftest import iris_experiment, iris_space

def slow(trial):
    if getattr(getattr(trial, "study", None), "study_name", None) == "iris" and trial.number:
        print("hangs", flush=True)
        time.sleep(60)
    return iris_space(trial)

experiment = iris_experiment(epochs=3, search_space=slow)
"""


def test_sigterm_ends_what_does_not_end_by_itself(tmp_path):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "iris.py").write_text(HANGING)
    process = start(tmp_path, "--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db")
    for line in process.stderr:
        if "hangs" in line:
            break
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143
    assert time.monotonic() - began < 10


def test_a_second_ctrl_c_stops_at_once_what_does_not_end_by_itself(tmp_path):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "iris.py").write_text(HANGING)
    process = start(tmp_path, "--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db")
    for line in process.stderr:
        if "hangs" in line:
            break
    process.send_signal(signal.SIGINT)
    assert "Ctrl-C again" in process.stderr.readline()
    assert process.poll() is None
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=50)
    assert process.returncode == 130, err
    assert time.monotonic() - began < 20  # of the minute that it would have hung
    assert "Traceback" not in err
