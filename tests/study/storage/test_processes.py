"""Several processes on one database, one of them killed."""

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from tests.study.storage.conftest import draw, in_database, new_study
from tuner.study.storage import (
    open_storage,
    reading,
    requeue,
)

ROOT = Path(__file__).parents[3]


def test_two_storages_see_each_others_trials(storage, url, monkeypatch):
    monkeypatch.setattr(reading, "_SYNC_SECONDS", 0.0)
    one, other_storage = new_study(storage), open_storage(url)
    other = optuna.load_study(study_name="s", storage=other_storage)
    mine, theirs = one.ask(), other.ask()
    assert (mine.number, theirs.number) == (0, 1)
    draw(theirs)
    theirs.report(0.5, 1)
    other_storage.flush()
    assert one.trials[1].params == theirs.params
    assert one.trials[1].intermediate_values == {1: 0.5}
    with pytest.raises(ValueError, match="different distribution kind"):
        mine.suggest_categorical("rate", [1, 2])
    other.tell(theirs, 2.0)
    one.tell(mine, 1.0)
    other_storage.flush()
    storage.flush()
    assert one.trials[1].value == 2.0
    assert [trial.value for trial in other.trials] == [1.0, 2.0]
    assert one.ask().number == 2
    other_storage.close()


def test_trials_are_in_the_order_of_their_numbers_whenever_they_are_seen(storage, url, monkeypatch):
    study = new_study(storage)
    assert study.trials == []
    other = open_storage(url)
    optuna.load_study(study_name="s", storage=other).ask()
    monkeypatch.setattr(reading, "_SYNC_SECONDS", math.inf)
    assert study.ask().number == 1
    assert [trial.number for trial in study.trials] == [1]
    monkeypatch.setattr(reading, "_SYNC_SECONDS", 0.0)
    assert [trial.number for trial in study.trials] == [0, 1]
    other.close()


def test_another_processs_trial_is_read_before_it_is_changed(storage, url, monkeypatch):
    study, other_storage = new_study(storage), open_storage(url)
    other = optuna.load_study(study_name="s", storage=other_storage)
    trial = other.ask()
    assert study.trials[0].state == TrialState.RUNNING
    monkeypatch.setattr(reading, "_SYNC_SECONDS", math.inf)
    other.tell(trial, 1.0)
    other_storage.close()
    with pytest.raises(UpdateFinishedTrialError):
        storage.set_trial_user_attr(trial._trial_id, "a", 1)


def test_a_trial_that_another_process_ended_is_not_written_again(storage, url, caplog):
    study = new_study(storage)
    trial = study.ask()
    other = open_storage(url)
    optuna.load_study(study_name="s", storage=other).tell(0, state=TrialState.FAIL)
    other.close()
    study.tell(trial, 1.0)
    storage.flush()
    assert in_database(url)[0].state == TrialState.FAIL
    assert "another process has ended" in caplog.text


def test_a_waiting_trial_is_taken_once(storage, url, monkeypatch):
    study = new_study(storage)
    study.enqueue_trial({"rate": 0.01})
    other_storage = open_storage(url)
    other = optuna.load_study(study_name="s", storage=other_storage)
    waiting = [study.get_trials(states=(TrialState.WAITING,)), other.get_trials(states=(TrialState.WAITING,))]
    assert [len(trials) for trials in waiting] == [1, 1]
    assert other.ask().number == 0
    assert storage.set_trial_state_values(waiting[0][0]._trial_id, TrialState.RUNNING) is False
    assert study.ask().number == 1
    other_storage.close()


WORKER = """
import optuna, sys, time
from tuner.study.storage import open_storage
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.load_study(study_name="s", storage=open_storage(sys.argv[1]), sampler=optuna.samplers.RandomSampler())
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    for step in range(3):
        trial.report(step, step)
    study.tell(trial, 1.0)
    print(trial.number, flush=True)
    time.sleep(0.005)
study._storage.close()
"""


def workers(url, count, trials):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WORKER, url, str(trials)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, env=environment, **pipes) for _ in range(count)]
    for worker in started:
        assert worker.stdout.readline() == "ready\n"
    for worker in started:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return started


def test_processes_share_a_study_and_never_run_a_trial_twice(storage, url):
    study = new_study(storage)
    for _ in range(30):
        study.enqueue_trial({"x": 0.5})
    started = workers(url, 3, 25)
    numbers = [[int(line) for line in worker.communicate(timeout=120)[0].split()] for worker in started]
    assert sorted(number for each in numbers for number in each) == list(range(75))
    stored = in_database(url)
    assert [trial.number for trial in stored] == list(range(75))
    assert all(trial.state == TrialState.COMPLETE and len(trial.intermediate_values) == 3 for trial in stored)
    assert all(trial.params == {"x": 0.5} for trial in stored[:30])


def test_a_killed_process_leaves_a_database_to_go_on_with(storage, url, monkeypatch):
    monkeypatch.setattr(reading, "_SYNC_SECONDS", 0.0)
    study = new_study(storage)
    (worker,) = workers(url, 1, 10_000)
    while int(worker.stdout.readline()) < 100:
        pass
    os.kill(worker.pid, signal.SIGKILL)
    worker.communicate()
    stored = in_database(url)
    assert [trial.number for trial in stored] == list(range(len(stored)))
    ended = [trial for trial in stored if trial.state == TrialState.COMPLETE]
    assert len(ended) > 40  # all but those of the last moments
    assert all(trial.value == 1.0 and len(trial.intermediate_values) == 3 for trial in ended)
    lost = [trial for trial in study.trials if trial.state == TrialState.RUNNING]
    assert len(lost) == len(stored) - len(ended)
    for trial in lost:
        requeue(storage, trial)
    again = [study.ask() for _ in lost]
    assert [trial.number for trial in again] == [trial.number for trial in lost]
    for trial in again:
        assert trial.params == {}
        trial.suggest_float("x", 0, 1)
        study.tell(trial, 2.0)
    storage.flush()
    assert all(trial.state == TrialState.COMPLETE for trial in in_database(url))
