import json
import subprocess
import sys
from functools import partial

import optuna
import pytest
from sklearn.model_selection import KFold

from tuner import models
from tuner.experiment import arrays_of, changes, fingerprint, load_experiment, override
from tuner.experiment.fingerprint import describe_field

from .helpers import flowers

FILE = '''"""Flowers."""

import math

import spaces.wide
from spaces import narrow
from shapes import *
from tuner import Experiment, datasets, models


def search_space(trial):
    """A search space."""
    return dict(hidden=[4], learning_rate=trial.suggest_float("learning_rate", 1e-3, 1e-1))  # one layer


experiment = Experiment(
    name="flowers", data=datasets.csv("flowers.csv", target="kind"), model=models.MLP, search_space=search_space,
    folds=2,
)
'''
PROJECT = {
    "pyproject.toml": "",
    "flowers.py": FILE,
    "flowers.csv": "length,kind\n" + "1,a\n2,b\n" * 10,
    "spaces/__init__.py": "",
    "spaces/narrow.py": "from . import deep\nWIDTH = 4\n",
    "spaces/wide.py": "import numpy\nfrom .deep import DEPTH\nWIDTH = 8\n",
    "spaces/deep.py": "import spaces.narrow\nDEPTH = 2\n",
    "shapes.py": "SHAPE = 1\n",
    "nobody.py": "print('nobody imports this')\n",
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    for name, text in PROJECT.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in {"spaces", "shapes"}]:
        del sys.modules[name]


def now(*settings):
    experiment, source = load_experiment("flowers.py")
    experiment = override(experiment, settings)
    return fingerprint(experiment, source, arrays_of(experiment).prepared.digest)


def edit(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_the_files_are_those_of_the_project_that_are_imported(project):
    files = ["flowers.py", "shapes.py", "spaces/__init__.py", "spaces/deep.py", "spaces/narrow.py", "spaces/wide.py"]
    assert list(now()["files"]) == files


def test_nothing_changed(project):
    assert changes(now(), now()) == []


def test_comments_docstrings_and_layout_change_nothing(project):
    before = now()
    edit(project / "flowers.py", '"""Flowers."""', '"""Many\n\nflowers."""\n\n# and a comment\n')
    edit(project / "flowers.py", '    """A search space."""\n', "")
    edit(project / "flowers.py", "dict(hidden=[4], ", "dict(\n        hidden = [ 4, ],\n        ")
    edit(project / "flowers.py", "  # one layer", "")
    edit(project / "flowers.py", '"learning_rate"', "'learning_rate'")
    edit(project / "spaces" / "deep.py", "DEPTH = 2", "'''Layers.'''\nDEPTH = (2)  # two")
    (project / "nobody.py").write_text("print('really nobody')")
    (project / "other.py").touch()
    assert changes(before, now()) == []


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("flowers.py", "1e-1", "1e-2"),
        ("flowers.py", '"learning_rate"', '"rate"'),
        ("flowers.py", "1e-3, 1e-1", "1e-3, 1e-1, log=True"),
        ("shapes.py", "1", "True"),
        ("spaces/__init__.py", "", "SIZE = 1"),
        ("spaces/narrow.py", "4", "5"),
        ("spaces/wide.py", "8", "8.0"),
        ("spaces/deep.py", "2", "3"),
    ],
)
def test_a_change_of_code_names_its_file(name, old, new, project):
    before = now()
    edit(project / name, old, new)
    assert changes(before, now()) == [f"{name} changed"]


def test_new_and_gone_files_are_named(project):
    before = now()
    edit(project / "shapes.py", "SHAPE", "import nobody\nSHAPE")
    edit(project / "flowers.py", "import spaces.wide\n", "")
    (project / "spaces" / "wide.py").unlink()
    assert changes(before, now()) == [
        "flowers.py changed",
        "nobody.py is new",
        "shapes.py changed",
        "spaces/wide.py is gone",
    ]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("epochs=3", ["epochs: 20 became 3"]),
        ("pruner=none", ["pruner: 'asha' became 'none'"]),
        ("test_fraction=0.5", ["test_fraction: 0.2 became 0.5"]),
        ("data.limit=10", ["data_limit: None became 10", "the data changed"]),
    ],
)
def test_a_changed_field_is_named(setting, said, project):
    assert changes(now(), now(setting)) == said


def test_changed_data(project):
    before = now()
    edit(project / "flowers.csv", "2,b", "3,b")
    assert changes(before, now()) == ["the data changed"]


def test_the_folder_it_lies_in_changes_nothing(project, tmp_path_factory, monkeypatch):
    before = now()
    moved = tmp_path_factory.mktemp("moved") / "project"
    project.rename(moved)
    moved.parent.joinpath("here").mkdir()
    monkeypatch.chdir(moved.parent / "here")
    experiment, source = load_experiment("../project/flowers.py")
    assert changes(before, fingerprint(experiment, source, before["data"]["digest"])) == []
    project.mkdir()


def test_a_file_of_the_current_folder_counts_too(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "far").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "far" / "flowers.py").write_text(FILE.replace("spaces", "near").replace("from shapes import *", ""))
    (tmp_path / "here" / "near").mkdir()
    for name in ("wide", "narrow"):
        (tmp_path / "here" / "near" / f"{name}.py").write_text("WIDTH = 1")
    experiment, source = load_experiment("../far/flowers.py")
    before = fingerprint(experiment, source, "")
    (tmp_path / "here" / "near" / "wide.py").write_text("WIDTH = 2")
    assert changes(before, fingerprint(experiment, source, "")) == ["near/wide.py changed"]


def test_an_experiment_without_a_file():
    one, two = (fingerprint(flowers(lambda trial: {}, models.MLP, epochs=epochs), None, "x") for epochs in (1, 2))
    assert one["files"] == {}
    assert changes(one, one) == []
    assert changes(one, two) == ["epochs: 1 became 2"]


class Doubling:
    def __init__(self, times):
        self.times = times
        self._inner = object()

    def __call__(self, trial):
        return {}


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (KFold(3), KFold(4)),
        (optuna.samplers.RandomSampler(seed=1), optuna.samplers.TPESampler(seed=1)),
        (optuna.pruners.MedianPruner(n_warmup_steps=1), optuna.pruners.MedianPruner(n_warmup_steps=2)),
        (Doubling(2), Doubling(3)),
        (partial(models.MLP, 1), partial(models.MLP, 2)),
        (models.MLP, Doubling),
        (1, True),
        ("1", 1),
    ],
    ids=str,
)
def test_fields_are_told_apart(one, two):
    assert describe_field(one) != describe_field(two)
    assert " at 0x" not in describe_field(one)


def test_another_process_has_the_same_fingerprint(project):
    program = "\n".join([
        "import json, tuner.experiment as e",
        "experiment, source = e.load_experiment('flowers.py')",
        "print(json.dumps(e.fingerprint(experiment, source, e.arrays_of(experiment).prepared.digest)))",
    ])  # fmt: skip
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == now()
