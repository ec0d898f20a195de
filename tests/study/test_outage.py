"""The database server stops in the middle of a study: it is waited for, and where it stays away nothing is lost."""

import threading
import time

import optuna
import pytest

import tuner
from benchmarks.servers import Postgres
from tests.study.conftest import iris_experiment
from tuner.study import DatabaseGone, Options
from tuner.study.run import run_study
from tuner.study.storage import open_storage, writer
from tuner.tracking import MemorySink

TRIALS = 10


@pytest.fixture
def server(tmp_path):
    own = Postgres(tmp_path)
    yield own
    own.start()
    own.close()


class Outage(MemorySink):
    """Stops the server after so many epochs, and starts it again after so many seconds."""

    def __init__(self, server, epochs, seconds):
        super().__init__()
        self.server, self.left, self.seconds = server, epochs, seconds
        self.starter = None

    def epoch(self, number, epoch, metrics):
        super().epoch(number, epoch, metrics)
        self.left -= 1
        if self.left == 0:
            self.server.stop()
            if self.seconds is not None:
                self.starter = threading.Timer(self.seconds, self.server.start)
                self.starter.start()


def options(server, **changes):
    return Options(
        **{"trials": TRIALS, "storage": server.url, "tracking_uri": None, "checkpoint_every": 0.2, **changes}
    )


def whole(experiment):
    found = tuner.run(experiment, trials=TRIALS, storage="sqlite:///:memory:", tracking_uri=None).study
    return [(trial.params, trial.values, trial.intermediate_values) for trial in found.trials]


def facts(study):
    found = [(trial.params, trial.values, trial.intermediate_values) for trial in study.trials]
    study._storage.close()
    return found


def test_a_server_that_is_started_again_is_waited_for(server, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    experiment, outage = iris_experiment(epochs=20), Outage(server, epochs=60, seconds=4)
    found = run_study(experiment, None, [], "s", options(server), progress=outage)
    outage.starter.join()
    assert facts(found.study) == whole(experiment)


def test_one_that_stays_away_ends_the_study_cleanly_and_it_goes_on_later(server, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(writer, "_PATIENCE_SECONDS", 3.0)
    experiment = iris_experiment(epochs=60)
    outage, began = Outage(server, epochs=150, seconds=None), time.monotonic()
    with pytest.raises(DatabaseGone, match=r"could not be written|cannot be used"):
        run_study(experiment, None, [], "s", options(server, lease=3), progress=outage)
    assert time.monotonic() - began < 60
    assert not [thread for thread in threading.enumerate() if thread.name == "tuner-worker"]
    server.start()
    found = run_study(experiment, None, [], "s", options(server, lease=3))
    assert facts(found.study) == whole(experiment)


def test_what_concerns_the_study_as_a_whole_waits_for_the_server_too(server):
    storage = open_storage(server.url)
    study = optuna.create_study(study_name="s", storage=storage)
    study.add_trial(optuna.trial.create_trial(value=1.0))
    late = open_storage(server.url)

    def read():
        assert len(late.get_all_trials(study._study_id)) == 1

    for call in (lambda: study.set_user_attr("a", 1), lambda: study.user_attrs, storage.names, read):
        server.stop()
        starter = threading.Timer(1, server.start)
        starter.start()
        call()
        starter.join()
    assert study.user_attrs == {"a": 1}
    storage.close()
    late.close()
