"""The writer behind the loop: it never blocks, never raises, and writes in few calls."""

import collections
import os
import subprocess
import sys
import threading
import time

import pytest

from tuner.tracking import MlflowSink, writer
from tuner.tracking.client import connect
from tuner.tracking.runs import TRIAL

from .helpers import ended, play, running, study, until

NOWHERE = "http://user:secret@127.0.0.1:1"


class Spy:
    """MLflow's client, counting calls and failing those it is told to."""

    def __init__(self, client):
        self.client = client
        self.calls = collections.Counter()
        self.fail = lambda _name, _arguments: None
        self.after = lambda _name: None

    def __getattr__(self, name):
        def call(*arguments, **options):
            self.calls[name] += 1
            if error := self.fail(name, (arguments, options)):
                raise error
            result = getattr(self.client, name)(*arguments, **options)
            if error := self.after(name):
                raise error
            return result

        return call


@pytest.fixture
def spy(store, monkeypatch):
    spy = Spy(store.client)
    monkeypatch.setattr(writer, "connect", lambda _uri: spy)
    monkeypatch.setattr(writer, "_PAUSES", (0.01, 0.01))
    return spy


def test_a_trial_costs_three_calls(store, spy):
    sink = store.sink(flush_seconds=5.0)
    sink.study_started(study())
    for number in range(10):
        play(sink, number)
    sink.close()
    assert store.numbers() == list(range(10))
    assert spy.calls["create_run"] == 10 + 1
    assert spy.calls["log_batch"] == 10 + 1
    assert spy.calls["set_terminated"] == 10


def test_a_trial_that_was_requeued_before_it_was_written_costs_nothing(store, spy):
    sink = store.sink(flush_seconds=5.0)
    sink.study_started(study())
    sink.trial_started(running(0))
    sink.trial_requeued(0)
    sink.close()
    assert (spy.calls["create_run"], spy.calls["delete_run"]) == (1, 0)


def test_once_training_has_ended_nothing_rests(store):
    sink = store.sink(flush_seconds=3600.0)
    sink.study_started(study())
    play(sink, 0)
    sink.training_ended()
    until(lambda: store.numbers() == [0])
    play(sink, 1)
    until(lambda: store.numbers() == [0, 1])
    sink.close()


def slow(seconds):
    def waits(name, _arguments):
        time.sleep(seconds if name == "log_batch" else 0.0)

    return waits


def test_closing_waits_as_long_as_runs_are_written(store, spy):
    sink = store.sink(flush_seconds=3600.0)
    sink.study_started(study())
    for number in range(8):
        play(sink, number)
    spy.fail = slow(0.3)
    sink.close(idle=1.5)
    assert sink.problem is None
    assert store.numbers() == list(range(8))


def test_closing_gives_up_where_nothing_is_written_any_more(store, spy):
    gate = threading.Event()
    sink = store.sink(flush_seconds=3600.0)
    sink.study_started(study())
    play(sink, 0)
    spy.fail = lambda _name, _arguments: gate.wait() and None
    began = time.monotonic()
    sink.close(idle=0.5)
    assert 0.5 < time.monotonic() - began < 2
    assert "could not be written for 0.5 seconds" in sink.problem
    gate.set()
    sink.close()
    assert store.numbers() == [0]


def test_nothing_waits_for_mlflow(store, spy):
    gate = threading.Event()
    spy.fail = lambda _name, _arguments: gate.wait() and None
    sink = store.sink(flush_seconds=0.0)
    began = time.monotonic()
    sink.study_started(study())
    for number in range(50):
        play(sink, number)
    sink.study_ended("finished", {})
    assert time.monotonic() - began < 0.5
    assert spy.calls["create_run"] == 0
    sink.close(timeout=0.05)
    assert "could not be written in 0.05 seconds" in sink.problem
    gate.set()
    sink.close()
    assert len(store.trials()) == 50


def test_what_waits_is_written_at_close(store):
    sink = store.sink(flush_seconds=60.0)
    sink.study_started(study())
    play(sink, 0)
    began = time.monotonic()
    sink.close()
    assert time.monotonic() - began < 10
    assert store.numbers() == [0]


def test_an_error_that_passes_leaves_no_trace_but_words(store, spy):
    failed = []

    def once(name, _arguments):
        if name == "log_batch" and len(failed) < 2:
            failed.append(name)
            return OSError("database is locked")
        return None

    spy.fail = once
    sink = store.sink()
    sink.study_started(study())
    play(sink, 0)
    sink.close()
    assert len(store.parents()) == 1
    assert store.numbers() == [0]
    assert "database is locked" in sink.problem


def test_an_answer_that_was_lost_leaves_no_double(store, spy):
    lost = []

    def lose(name):
        if name == "create_run" and spy.calls["create_run"] == 2 and not lost:
            lost.append(name)
            return OSError("timed out")
        return None

    spy.after = lose
    sink = store.sink()
    sink.study_started(study())
    play(sink, 0)
    sink.close()
    assert lost
    assert store.numbers() == [0]


def test_a_trial_that_mlflow_refuses_does_not_harm_the_others(store, spy):
    from mlflow.exceptions import MlflowException

    def refuse(name, arguments):
        if name == "create_run" and arguments[1]["tags"].get(TRIAL) == "1":
            return MlflowException.invalid_parameter_value("no such thing")
        return None

    spy.fail = refuse
    sink = store.sink(flush_seconds=0.2)
    sink.study_started(study(), [ended(0), ended(1), ended(2)])
    play(sink, 3)
    sink.close()
    assert store.numbers() == [0, 2, 3]
    assert "no such thing" in sink.problem


def test_when_mlflow_comes_back_the_study_and_whole_trials_are_written(store, spy):
    spy.fail = lambda _name, _arguments: OSError("down")
    sink = store.sink(flush_seconds=0.0)
    sink.study_started(study(), [ended(0)])
    sink.trial_started(running(1))
    until(lambda: sink.problem and spy.calls["get_experiment_by_name"] >= 4)
    spy.fail = lambda _name, _arguments: None
    sink.trial_ended(ended(1))
    sink.close()
    assert store.numbers() == [0, 1]
    assert store.history(store.trials()[1], "accuracy") == [(1, 0.5), (2, 0.75)]


def test_an_unreachable_server_blocks_nobody_and_is_said(caplog):
    sink = MlflowSink(NOWHERE, flush_seconds=0.0)
    began = time.monotonic()
    sink.study_started(study())
    for number in range(100):
        play(sink, number)
    assert time.monotonic() - began < 0.5
    sink.close()
    assert time.monotonic() - began < 15
    assert "MLflow at http://127.0.0.1:1 could not be written" in sink.problem
    assert "secret" not in sink.problem
    assert "Retrying" not in caplog.text
    assert sink.run_id(None) is None
    assert sink.run_id(0) is None
    assert sink.seconds > 0


def test_telemetry_is_off_whatever_was_set(uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    connect(uri)
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    from mlflow.telemetry.utils import is_telemetry_disabled

    assert is_telemetry_disabled()


def test_a_process_that_writes_prints_nothing_and_one_that_imports_loads_no_mlflow(tmp_path):
    code = """
import sys
from tuner.tracking import MlflowSink, StudyRecord, TrialRecord
assert not {"mlflow", "jax", "optuna", "sqlalchemy"} & set(sys.modules)
sink = MlflowSink("sqlite:///new.db")
assert not {"mlflow", "sqlalchemy"} & set(sys.modules)
sink.study_started(StudyRecord("s", "e"))
sink.trial_ended(TrialRecord(0, "complete", {}, 1000, 2000, 1.0))
sink.close()
import mlflow.telemetry.client as telemetry
assert telemetry.get_telemetry_client() is None
assert sink.problem is None and sink.run_id(0)
"""
    root = os.fspath(__file__).rsplit("/tests/", 1)[0]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env=environment | {"PYTHONPATH": root}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(("used", "expected"), [(0.0, 1.0), (0.04, 1.0), (0.1, 2.0), (5.0, 10.0)])
def test_it_rests_longer_the_more_it_wrote(used, expected):
    assert writer.rest(1.0, used) == pytest.approx(expected)
