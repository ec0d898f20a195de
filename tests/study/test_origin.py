"""Where a study came from, as MLflow shows it: command, commit, versions, device, data."""

import json
import subprocess

import pytest

from tests.study.conftest import iris_experiment
from tests.tracking.helpers import Store
from tuner import cli, datasets
from tuner.experiment import Source, arrays_of
from tuner.study import load_study
from tuner.study.origin import dataset_of, origin_of

EXPERIMENT = """
from tests.study.conftest import iris_experiment
experiment = iris_experiment(epochs=2, test_fraction=0.2)
"""


def git(folder, *words):
    who = ("-c", "user.name=me", "-c", "user.email=me@localhost")
    done = subprocess.run(["git", "-C", folder, *who, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path):
    (tmp_path / "iris.py").write_text(EXPERIMENT)
    (tmp_path / "pyproject.toml").touch()
    return tmp_path


def test_the_commit_and_whether_it_is_what_ran(project):
    source = Source(project / "iris.py", "experiment", project)
    assert "mlflow.source.git.commit" not in origin_of(source, None, {})
    git(project, "init")
    git(project, "add", "iris.py")
    git(project, "commit", "-m", "first")
    tags = origin_of(source, "tuner run iris.py", {"jax": "1.2"})
    assert tags["mlflow.source.git.commit"] == git(project, "rev-parse", "HEAD")
    assert tags["mlflow.source.name"] == str(project / "iris.py")
    assert (tags["tuner.command"], tags["tuner.version.jax"]) == ("tuner run iris.py", "1.2")
    assert "tuner.git.changed" not in tags
    (project / "iris.py").write_text(EXPERIMENT + "\n")
    assert origin_of(source, None, {})["tuner.git.changed"] == "yes"


def test_the_data_is_described(tmp_path):
    experiment = iris_experiment()
    found = dataset_of(experiment, arrays_of(experiment).prepared)
    assert found["name"] == "iris"
    assert found["profile"]["rows of each class"] == {"0": 50, "1": 50, "2": 50}
    assert len(found["digest"]) <= 36
    (tmp_path / "my.csv").write_text("a,b,kind\n" + "1,2.5,x\n,3.5,y\n" * 20)
    experiment = iris_experiment(data=datasets.csv(tmp_path / "my.csv", target="kind"))
    found = dataset_of(experiment, arrays_of(experiment).prepared)
    assert found["name"] == "my.csv"
    assert found["source"].endswith("/my.csv")
    assert found["profile"]["missing numbers"] == 20


def test_mlflow_shows_it_and_no_password(project, monkeypatch, capsys):
    monkeypatch.chdir(project)
    uri = f"sqlite:///{project}/mlflow.db"  # whole, since MLflow keeps its stores by their addresses
    words = ["run", "iris.py", "--trials", "2", "--quiet", "--set", "epochs=3", "--tracking-uri", uri]
    with pytest.raises(SystemExit, match="0"):
        cli.main(words)
    assert load_study("iris", "sqlite:///tuner.db").user_attrs["tuner:study"]["shown"]["dataset"]["name"] == "iris"
    store = Store(uri)
    (parent,) = [run for run in store.runs("iris") if "mlflow.parentRunId" not in run.data.tags]
    assert parent.data.tags["tuner.command"] == f"tuner {' '.join(words)}"
    assert parent.data.tags["mlflow.source.name"] == str(project / "iris.py")
    (shown,) = parent.inputs.dataset_inputs
    assert shown.dataset.name == "iris"
    assert json.loads(shown.dataset.profile)["rows"] == 150
    with pytest.raises(SystemExit, match="0"):
        cli.main(["resume", "iris", "--trials", "3", "--quiet"])
    (parent,) = [run for run in store.runs("iris") if "mlflow.parentRunId" not in run.data.tags]
    assert len(parent.inputs.dataset_inputs) == 1


def test_a_command_is_shown_without_credentials():
    given = ["run", "x.py", "--storage=postgresql://me:secret@host/db", "--tracking-uri", "http://me:secret@host"]
    with cli.app.make_context("tuner", ["doctor"], obj=given):
        shown = cli._command()
    assert shown == "tuner run x.py --storage=postgresql://host/db --tracking-uri http://host"
