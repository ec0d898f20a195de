"""Who runs which trial: leases on the database's clock, taken once, lost by the dead alone."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState

from tests.study.storage.conftest import draw, in_database, new_study
from tests.study.storage.test_processes import ROOT
from tuner.study.storage import (
    RESOLVED,
    LeaseLost,
    Occupied,
    StudyFull,
    membership,
    open_storage,
    reading,
    set_attributes,
)

SECONDS = 30.0


@pytest.fixture(autouse=True)
def nobody_looks(monkeypatch):
    """Workers look at each other when the test says so."""
    monkeypatch.setattr(membership, "_MOST_SECONDS", 1000.0)


@pytest.fixture
def worker(storage, url):
    """Makes workers of the study: each a storage of its own that has entered, and its study."""
    study_id, opened = new_study(storage)._study_id, []

    def enter(alone=False, seconds=SECONDS):
        opened.append(open_storage(url))
        opened[-1].membership.enter(study_id, seconds, alone=alone)
        opened[-1].membership.allow(100)
        return opened[-1], optuna.load_study(
            study_name="s", storage=opened[-1], sampler=optuna.samplers.RandomSampler(seed=0)
        )

    yield enter
    for each in opened:
        each.close()


def execute(storage, statement):
    with storage._backend.engine.begin() as connection:
        return connection.execute(sqlalchemy.text(statement))


def rows(storage, table):
    with storage._backend.engine.connect() as connection:
        return connection.execute(sqlalchemy.text(f"select * from {table}")).mappings().all()


def clock_jumps(storage, seconds):
    """What a worker has written is that many seconds older than it was."""
    execute(storage, f"update tuner_workers set expires = expires - {seconds}, since = since - {seconds}")


def silent(storage, seconds=10 * SECONDS):
    """One worker has not been heard of for so long."""
    name = storage.membership.name
    execute(storage, f"update tuner_workers set expires = expires - {seconds} where worker = '{name}'")


def present(storage, seconds=10 * SECONDS):
    """One worker has been there for so long."""
    name = storage.membership.name
    execute(storage, f"update tuner_workers set since = since - {seconds} where worker = '{name}'")


def reported(study):
    trial = study.ask()
    draw(trial)
    trial.report(0.5, 1)
    study._storage.flush()
    return trial


def test_a_trial_belongs_to_the_worker_that_asked_for_it_until_it_ends(worker):
    one, study = worker()
    trial = reported(study)
    assert [(row["trial_id"], row["worker"]) for row in rows(one, "tuner_leases")] == [
        (trial._trial_id, one.membership.name)
    ]
    study.tell(trial, 1.0)
    one.flush()
    assert rows(one, "tuner_leases") == []


def test_what_a_silent_worker_ran_goes_back_to_waiting_once_and_it_changes_nothing_more(worker, url):
    (one, study), (other, others_study) = worker(), worker()
    trial, drawn = reported(study), reported(study)
    set_attributes(one, drawn._trial_id, {RESOLVED: {}})
    one.flush()
    silent(one)
    present(other)
    other.membership.look()
    waiting = in_database(url)
    assert [t.state for t in waiting] == [TrialState.WAITING] * 2
    assert [bool(t.params) for t in waiting] == [False, True]  # those that were all drawn stay
    assert not any(t.intermediate_values for t in waiting)
    trial.report(0.7, 2)
    with pytest.raises(LeaseLost):
        one.flush()
    with pytest.raises(LeaseLost):
        study.ask()
    again = others_study.ask()
    assert again.number == 0
    others_study.tell(again, 3.0)
    other.flush()
    assert in_database(url)[0].value == 3.0
    assert in_database(url)[0].intermediate_values == {}
    assert len(rows(one, "tuner_workers")) == 1


def test_a_worker_that_was_taken_for_dead_goes_on_as_another(worker, url):
    (one, study), (other, _) = worker(), worker()
    reported(study)
    name = one.membership.name
    silent(one)
    present(other)
    other.membership.look()
    with pytest.raises(LeaseLost):
        study.ask()
    one.enter_again()
    assert one.membership.name != name
    assert [t.state for t in study.get_trials()] == [TrialState.WAITING]
    trial = study.ask()
    assert trial.number == 0
    study.tell(trial, 1.0)
    one.flush()
    assert in_database(url)[0].value == 1.0


def test_what_a_worker_had_ended_and_could_not_write_waits_for_it_too(worker, url):
    (one, study), (other, _) = worker(), worker()
    trial = reported(study)
    silent(one)
    present(other)
    other.membership.look()
    study.tell(trial, 1.0)
    with pytest.raises(LeaseLost):
        one.flush()
    one.enter_again()
    assert [t.state for t in study.get_trials()] == [TrialState.WAITING]
    assert study.ask().number == 0
    one.flush()
    assert in_database(url)[0].values is None


def test_after_an_outage_everybody_has_the_time_to_say_that_it_is_alive(worker):
    (one, study), (other, _) = worker(), worker()
    present(one)
    present(other)
    trial = reported(study)
    clock_jumps(one, 5 * SECONDS)  # nobody could renew for so long: or the clock was set
    other.membership.look()
    assert len(rows(one, "tuner_workers")) == 2
    one.membership.look()
    present(other)
    other.membership.look()
    assert len(rows(one, "tuner_workers")) == 2
    study.tell(trial, 1.0)
    one.flush()


def test_a_clock_that_was_set_back_declares_nobody_dead_and_the_dead_not_immortal(worker):
    (one, study), (other, _) = worker(), worker()
    reported(study)
    present(other)
    clock_jumps(one, -10_000)
    other.membership.look()
    assert len(rows(one, "tuner_workers")) == 2
    present(other)  # one stays silent
    other.membership.look()
    assert [row["worker"] for row in rows(one, "tuner_workers")] == [other.membership.name]


def test_a_worker_that_just_came_judges_nobody_by_silence(worker):
    one, study = worker()
    reported(study)
    silent(one)
    other, _ = worker()
    other.membership.look()
    assert len(rows(one, "tuner_workers")) == 2


def test_whoever_holds_on_alone_refuses_and_is_refused(worker):
    one, _ = worker(alone=True)
    with pytest.raises(Occupied):
        worker()
    one.leave()
    worker()
    with pytest.raises(Occupied):
        worker(alone=True)
    assert len(rows(one, "tuner_workers")) == 1


def test_what_a_worker_leaves_running_goes_back_to_waiting(worker, url):
    one, study = worker()
    reported(study)
    one.leave()
    assert in_database(url)[0].state == TrialState.WAITING
    assert rows(one, "tuner_workers") == rows(one, "tuner_leases") == []
    one.leave()


def test_what_nobody_runs_goes_back_to_waiting(worker, storage, url):
    optuna.load_study(study_name="s", storage=storage).ask()
    storage.flush()
    worker()
    assert in_database(url)[0].state == TrialState.WAITING


def test_a_trial_whose_answer_was_lost_is_not_lost(worker, url, monkeypatch):
    one, study = worker()
    insert, lost = one._tables._insert, iter([True])

    def breaks_once(*given):
        created = insert(*given)
        if next(lost, False):
            raise sqlalchemy.exc.OperationalError("insert", {}, ConnectionError("gone"))
        return created

    monkeypatch.setattr(one._tables, "_insert", breaks_once)
    trial = study.ask()
    assert trial.number == 1
    one.put_back_strays(study._study_id)
    assert [t.state for t in in_database(url)] == [TrialState.WAITING, TrialState.RUNNING]
    assert study.ask().number == 0


def test_a_lock_is_held_by_one_at_a_time_and_freed_by_death(worker, monkeypatch):
    monkeypatch.setattr(membership, "_LOCK_SECONDS", 0.01)
    (one, _), (other, _) = worker(), worker()
    held, inside = [], []

    def hold(storage):
        with storage.membership.lock("ending"):
            inside.append(storage)
            held.append(len(inside))
            time.sleep(0.1)
            inside.remove(storage)

    threads = [threading.Thread(target=hold, args=(storage,)) for storage in (one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held == [1, 1]
    waits = threading.Thread(target=hold, args=(other,))

    def die():
        with one.membership.lock("ending"):
            waits.start()
            silent(one)
            present(other)
            other.membership.look()
            waits.join(10)

    with pytest.raises(LeaseLost):
        die()
    assert held == [1, 1, 1]


def test_who_waited_for_a_lock_under_another_name_gives_it_back(worker, monkeypatch):
    monkeypatch.setattr(membership, "_LOCK_SECONDS", 0.3)  # longer than it takes to become another
    (one, _), (other, _) = worker(), worker()

    def hold():
        with one.membership.lock("ending"):
            pass

    waits = threading.Thread(target=hold)
    with other.membership.lock("ending"):
        waits.start()
        time.sleep(0.1)
        silent(one)
        present(other)
        other.membership.look()
        one.enter_again()
    waits.join(10)
    assert not waits.is_alive()
    assert rows(other, "tuner_locks") == []


def test_of_workers_that_ask_at_once_none_begins_more_than_allowed(worker):
    storages = [worker() for _ in range(4)]
    numbers, refused = [], []

    def ask(storage, study):
        storage.membership.allow(30)
        try:
            while True:
                numbers.append(study.ask().number)
        except StudyFull:
            refused.append(storage)

    threads = [threading.Thread(target=ask, args=pair) for pair in storages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(30))
    assert len(refused) == 4


def test_a_trial_that_waits_is_not_begun_where_the_study_is_full(worker, storage):
    one, study = worker()
    study.enqueue_trial({"rate": 0.01})
    one.membership.allow(0)
    with pytest.raises(StudyFull):
        study.ask()
    one.membership.allow(1)
    assert study.ask().number == 0


WORKER = """
import optuna, sys, time
from tuner.study.storage import open_storage
storage = open_storage(sys.argv[1])
study = optuna.load_study(study_name="s", storage=storage)
storage.membership.enter(study._study_id, float(sys.argv[2]), alone=False)
study.ask()
print("asked", flush=True)
time.sleep(1000)
"""


@pytest.fixture
def process(url):
    started = []

    def start(seconds):
        command = [sys.executable, "-c", WORKER, url, str(seconds)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        started.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline() == "asked\n"
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.communicate()


def test_a_process_of_this_machine_that_is_gone_needs_no_waiting_for(worker, process, url):
    one, _ = worker()
    killed = process(1000)
    one.membership.look()
    assert in_database(url)[0].state == TrialState.RUNNING
    killed.kill()  # and nobody has collected it yet
    deadline = time.monotonic() + 10
    while in_database(url)[0].state != TrialState.WAITING and time.monotonic() < deadline:
        one.membership.look()
    assert in_database(url)[0].state == TrialState.WAITING
    assert len(rows(one, "tuner_workers")) == 1


def test_who_comes_sees_at_once_that_what_a_dead_process_ran_waits(storage, process, url, monkeypatch):
    study = new_study(storage)
    killed = process(1000)
    monkeypatch.setattr(reading, "_SYNC_SECONDS", 1000.0)
    comes = open_storage(url)
    assert [trial.state for trial in comes.get_all_trials(study._study_id)] == [TrialState.RUNNING]
    killed.kill()
    killed.wait()
    comes.enter(study._study_id, SECONDS, alone=False)
    assert [trial.state for trial in comes.get_all_trials(study._study_id)] == [TrialState.WAITING]
    comes.close()


def test_a_process_that_stands_still_is_taken_over_by_one_of_many(worker, process, url):
    workers = [worker(seconds=1.0) for _ in range(3)]
    process(1.0).send_signal(signal.SIGSTOP)
    deadline, taken = time.monotonic() + 20, []
    while not taken and time.monotonic() < deadline:
        time.sleep(0.2)
        for one, _ in workers:
            one.membership.look()
        for one, study in workers:
            one.refresh(study._study_id)
            taken += [study.ask().number for _ in study.get_trials(states=(TrialState.WAITING,))][:1]
    assert taken == [0]
    assert Counter(trial.state for trial in in_database(url)) == {TrialState.RUNNING: 1}
