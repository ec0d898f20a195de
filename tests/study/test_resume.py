"""Nothing is lost: real processes, really killed, and the study completed from its database."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

import tuner
from tests.study.conftest import iris_experiment
from tuner import InputError
from tuner.experiment import load_experiment
from tuner.study import Options, resume_study
from tuner.study.run import run_study
from tuner.study.storage import RESOLVED, open_storage, requeue

EXPERIMENT = """
from tests.study.conftest import iris_experiment
experiment = iris_experiment(epochs=60, pruner="asha")
"""
ROOT = Path(__file__).parents[2]
TRIALS = 24


@pytest.fixture
def project(tmp_path):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "iris.py").write_text(EXPERIMENT)
    return tmp_path


def command(*arguments):
    return [sys.executable, "-m", "tuner.cli", *map(str, arguments)]


def start(project, *arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command(*arguments), cwd=project, env=environment, **pipes)


def finish(project, *arguments):
    process = start(project, *arguments)
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


def trials_of(project):
    storage = f"sqlite:///{project}/tuner.db"
    return optuna.load_study(study_name="iris", storage=storage).get_trials()


def wait_for_trials(project, count):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if sum(trial.state.is_finished() for trial in trials_of(project)) >= count:
                return
        except (KeyError, optuna.exceptions.StorageInternalError):  # the study is not there yet
            pass
        time.sleep(0.05)
    raise AssertionError("the study did not get that far")


def runs_by_trial(project):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{project}/mlflow.db")
    experiment = client.get_experiment_by_name("iris")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    return parents, [run for run in runs if "mlflow.parentRunId" in run.data.tags]


def uninterrupted():
    experiment = iris_experiment(epochs=60, pruner="asha")
    return tuner.run(experiment, trials=TRIALS, storage="sqlite:///:memory:", tracking_uri=None).study.trials


@pytest.mark.parametrize(
    "killed_after", [3, pytest.param(0, marks=pytest.mark.slow), pytest.param(14, marks=pytest.mark.slow)]
)
def test_a_killed_study_is_completed_as_if_it_had_not_been(project, killed_after):
    process = start(project, "run", "iris.py", "--trials", TRIALS)
    wait_for_trials(project, killed_after) if killed_after else time.sleep(4)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    code, out, err = finish(
        project, *(("resume", "iris") if killed_after else ("run", "iris.py")), "--trials", TRIALS, "--json"
    )
    assert code == 0, err
    assert json.loads(out)["trials"]["running"] == 0
    trials = trials_of(project)
    assert [trial.number for trial in trials] == list(range(TRIALS))
    assert all(trial.state in {TrialState.COMPLETE, TrialState.PRUNED} for trial in trials)
    assert [trial.params for trial in trials] == [trial.params for trial in uninterrupted()]
    for trial in trials:
        assert sorted(trial.intermediate_values) == list(range(1, trial.last_step + 1))
    parents, runs = runs_by_trial(project)
    assert len(parents) == 1
    assert Counter(run.data.tags["tuner.trial"] for run in runs) == Counter(str(number) for number in range(TRIALS))
    states = {run.data.tags["tuner.trial"]: run.info.status for run in runs}
    expected = {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "KILLED"}
    assert states == {str(trial.number): expected[trial.state] for trial in trials}


def test_ctrl_c_keeps_what_was_finished_and_says_how_to_go_on(project):
    process = start(project, "run", "iris.py", "--trials", 1000)  # more than end before the signal comes
    wait_for_trials(project, 3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "tuner resume iris" in err
    assert "Traceback" not in err
    trials = trials_of(project)
    states = Counter(trial.state for trial in trials)
    assert states[TrialState.RUNNING] == 0
    assert states[TrialState.COMPLETE] + states[TrialState.PRUNED] >= 3
    waiting = [trial for trial in trials if trial.state == TrialState.WAITING]
    assert waiting
    assert not any(trial.intermediate_values for trial in waiting)
    _, runs = runs_by_trial(project)
    assert all(run.info.status in {"FINISHED", "KILLED"} for run in runs)
    finished = {str(trial.number) for trial in trials if trial.state.is_finished()}
    assert {run.data.tags["tuner.trial"] for run in runs} == finished


def test_a_requeued_trial_keeps_its_number_and_parameters(storage):
    backend = open_storage(storage)
    study = optuna.create_study(study_name="s", storage=backend)
    drawn, half = study.ask(), study.ask()
    for trial in (drawn, half):
        trial.suggest_float("x", 0, 1)
        trial.report(0.5, 1)
    drawn.set_user_attr(RESOLVED, {"x": drawn.params["x"]})
    for trial in study.get_trials():
        requeue(backend, trial)
    one, two = study.get_trials()
    assert [one.state, two.state] == [TrialState.WAITING] * 2
    assert one.params == {"x": drawn.params["x"]}
    assert two.params == {}
    assert one.intermediate_values == two.intermediate_values == {}
    again = study.ask()
    assert again.number == 0
    assert again.suggest_float("x", 0, 1) == drawn.params["x"]


def test_a_finished_trial_is_never_requeued(storage):
    backend = open_storage(storage)
    study = optuna.create_study(study_name="s", storage=backend)
    trial = study.ask()
    stale = study.get_trials()[0]
    study.tell(trial, 1.0)
    requeue(backend, stale)
    assert study.get_trials()[0].state == TrialState.COMPLETE


def test_a_study_from_python_is_resumed_from_python(storage):
    experiment = iris_experiment()
    tuner.run(experiment, trials=2, storage=storage, tracking_uri=None)
    with pytest.raises(tuner.InputError, match=r"tuner.run\(experiment, study='iris'"):
        resume_study("iris", Options(storage=storage, tracking_uri=None))
    assert len(tuner.run(experiment, trials=4, storage=storage, tracking_uri=None).study.trials) == 4


def test_credentials_are_never_remembered(storage):
    from tuner.study.options import Options

    options = Options(storage=storage, tracking_uri="http://name:secret@localhost:5000/path")
    assert options.shown_tracking_uri == "http://localhost:5000/path"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me:secret@host:5432/db",
        "postgresql+psycopg://host/db?user=me&password=secret",
        "mysql+pymysql://me:secret@host/db",
    ],
)
def test_passwords_are_not_shown(url):
    from tuner.study.storage import without_password

    shown = without_password(url)
    assert "secret" not in shown
    assert "me" not in shown.replace("mysql", "").replace("pymysql", "")
    assert "host" in shown


def test_looking_at_a_database_does_not_change_it(tmp_path):
    import sqlite3

    from tuner.study import all_results

    url = f"sqlite:///{tmp_path}/plain.db"
    optuna.create_study(study_name="somebody's", storage=url)
    assert all_results(url) == []
    connection = sqlite3.connect(tmp_path / "plain.db")
    try:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    finally:
        connection.close()


def test_an_experiment_file_that_is_gone_is_said_and_one_that_moved_is_found(tmp_path, monkeypatch):
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    (before / "pyproject.toml").touch()
    (before / "iris.py").write_text(EXPERIMENT)
    monkeypatch.chdir(before)
    options = Options(trials=2, storage=f"sqlite:///{tmp_path}/tuner.db", tracking_uri=None)
    run_study(*load_experiment("iris.py"), ["epochs=2"], None, options)
    before.rename(after)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"experiment file is gone.*iris\.py.*Put it back"):
        resume_study("iris", options)
    monkeypatch.chdir(after)
    result = resume_study("iris", options)
    assert result.trials["pruned"] + result.trials["complete"] == 2
