"""MLflow is away for as long as a study runs: the study does not care, and ``tuner sync`` writes it later."""

import socket

import pytest

import tuner
from tests.study.conftest import iris_experiment
from tests.tracking.helpers import Store
from tuner import InputError
from tuner.cli import main
from tuner.report.pictures import pictures_of
from tuner.study import NotTracked, load_study, sync_study
from tuner.study.storage import open_storage

TRIALS = 6


@pytest.fixture
def away():
    """The address of a server that is not there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def ran(storage, away, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiment = iris_experiment(pruner="asha", test_fraction=0.2)
    return tuner.run(experiment, trials=TRIALS, study="s", storage=storage, tracking_uri=away)


def shown(store):
    return [
        (run.data.tags["tuner.trial"], run.info.status, dict(run.data.params), dict(run.data.metrics))
        for run in store.trials()
    ]


class IrisStore(Store):
    def runs(self, experiment="iris"):
        return super().runs(experiment)


def test_what_was_missed_is_written_once_and_as_if_nothing_had_been_missed(ran, storage, tmp_path):
    assert ran.best.mlflow_run_id is None
    assert ran.trials["complete"] + ran.trials["pruned"] == TRIALS
    store = IrisStore(f"sqlite:///{tmp_path}/mlflow.db")
    found = sync_study("s", storage, store.uri, pictures_of)
    once = shown(store)
    (parent,) = store.parents()
    assert found.best.mlflow_run_id in [run.info.run_id for run in store.trials()]
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["best_value"] == ran.best.value
    assert parent.data.params["epochs"] == "4"
    files = {file.path for file in store.client.list_artifacts(parent.info.run_id)}
    assert {"history.png", "confusion_matrix.png", "study.html"} <= files
    sync_study("s", storage, store.uri)
    assert shown(store) == once
    assert len(store.parents()) == 1
    other = IrisStore(f"sqlite:///{tmp_path}/other.db")
    tuner.run(
        iris_experiment(pruner="asha", test_fraction=0.2),
        trials=TRIALS,
        study="s",
        storage=f"sqlite:///{tmp_path}/other_study.db",
        tracking_uri=other.uri,
    )
    assert [(number, parameters) for number, _, parameters, _ in shown(other)] == [
        (number, parameters) for number, _, parameters, _ in once
    ]
    assert {key for *_, metrics in shown(other) for key in metrics} == {key for *_, metrics in once for key in metrics}


def test_mlflow_that_is_still_away_is_said(ran, storage, away, capsys):
    with pytest.raises(NotTracked, match="MLflow at"):
        sync_study("s", storage, away)
    with pytest.raises(SystemExit) as leave:
        main(["sync", "s", "--storage", storage])
    assert leave.value.code == 1
    said = capsys.readouterr().err
    assert "not all could be written" in said
    assert "Traceback" not in said


def test_a_study_that_runs_writes_by_itself(ran, storage):
    other = open_storage(storage)
    other.membership.enter(load_study("s", storage)._study_id, 60, alone=False)
    with pytest.raises(InputError, match="writes by itself"):
        sync_study("s", storage, "sqlite:///mlflow.db")
    other.close()


def test_a_study_that_is_not_there_is_refused(storage, capsys):
    with pytest.raises(SystemExit) as leave:
        main(["sync", "nobody", "--storage", storage])
    assert leave.value.code == 2
    assert "there is no study" in capsys.readouterr().err
