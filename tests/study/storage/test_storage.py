"""The storage against Optuna's own suite, and against what the database really holds."""

import copy
import math
import time

import optuna
import pytest
import sqlalchemy
from optuna.distributions import FloatDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.testing.pytest_storages import StorageTestCase
from optuna.trial import TrialState

from tests.study.storage.conftest import contents, draw, in_database, new_study
from tuner.study.storage import (
    RESOLVED,
    open_storage,
    reading,
    report_epochs,
    requeue,
    set_attributes,
    writer,
)


class TestOptunasOwnSuite(StorageTestCase):
    """On SQLite and on PostgreSQL, as Optuna tests its storages."""


def test_the_mirror_is_what_the_database_holds(storage, url):
    study = new_study(storage)
    study.enqueue_trial({"rate": 0.01, "units": 8}, user_attrs={"who": ("me", 1)})
    for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING):
        trial = study.ask()
        draw(trial)
        values = [0.5, math.inf, -math.inf, math.nan, 1 / 3]
        report_epochs(storage, [(trial._trial_id, step, value) for step, value in enumerate(values)])
        set_attributes(storage, trial._trial_id, {"pair": (1, 2), "none": None, "nested": {"a": [1.5, {"b": "ü'\"%"}]}})
        set_attributes(storage, trial._trial_id, {"pair": [3]})
        storage.set_trial_system_attr(trial._trial_id, "rung", math.nan)
        if state != TrialState.RUNNING:
            study.tell(trial, math.inf if state == TrialState.COMPLETE else None, state)
    study.enqueue_trial({"rate": 0.02})
    storage.flush()
    stored = in_database(url)
    assert len(stored) == 5
    assert [contents(trial) for trial in study.get_trials()] == [contents(trial) for trial in stored]
    assert [list(trial.params) for trial in study.get_trials()] == [list(trial.params) for trial in stored]
    assert stored[0].user_attrs == {"who": ["me", 1], "pair": [3], "none": None, "nested": {"a": [1.5, {"b": "ü'\"%"}]}}
    assert stored[0].values == [math.inf]
    assert stored[1].values == [1 / 3]


def test_a_study_through_optimize_is_optunas(storage, url):
    def objective(trial):
        draw(trial)
        for step in range(3):
            trial.report(trial.params["share"] + step, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        if trial.number == 5:
            raise ValueError("no luck")
        return trial.params["rate"]

    def optimized(where):
        sampler = optuna.samplers.TPESampler(seed=0, n_startup_trials=3)
        study = optuna.create_study(study_name="s", storage=where, sampler=sampler)
        study.optimize(objective, n_trials=12, catch=ValueError)
        return [(t.params, t.state, t.values, t.intermediate_values, t.system_attrs) for t in study.trials]

    expected = optimized(optuna.storages.InMemoryStorage())
    assert optimized(storage) == expected
    storage.flush()
    assert [(t.params, t.state, t.values, t.intermediate_values, t.system_attrs) for t in in_database(url)] == expected


def test_reading_asks_no_database(storage):
    study = new_study(storage)
    trial = study.ask()
    draw(trial)
    trial.report(0.5, 1)
    statements = []
    engine = storage._backend.engine
    sqlalchemy.event.listen(engine, "before_cursor_execute", count := lambda *given: statements.append(given[2]))
    try:
        storage._mirrors[study._study_id].synced_whole = time.monotonic()
        with storage.together():  # the writer waits as well
            draw(trial)
            trial.report(0.6, 2)
            trial.set_user_attr("a", 1)
            assert storage.get_trial(trial._trial_id).intermediate_values == {1: 0.5, 2: 0.6}
            assert not study.get_trials(states=(TrialState.COMPLETE,))
            study.tell(trial, 0.6)
            assert study.best_value == 0.6
        assert [statement for statement in statements if "SELECT" in statement and "stud" not in statement] == []
    finally:
        sqlalchemy.event.remove(engine, "before_cursor_execute", count)


def test_what_is_done_together_is_written_in_one_transaction(storage, url):
    study = new_study(storage)
    trial = study.ask()
    with storage.together():
        set_attributes(storage, trial._trial_id, {"reason": "pruned"})
        time.sleep(3 * writer._GATHER_SECONDS)
        assert in_database(url)[0].user_attrs == {}
        study.tell(trial, 1.0)
    storage.flush()
    assert in_database(url)[0].user_attrs == {"reason": "pruned"}
    assert in_database(url)[0].state == TrialState.COMPLETE


def test_everything_is_in_the_database_within_a_second(storage, url):
    study = new_study(storage)
    trial = study.ask()
    draw(trial)
    study.tell(trial, 1.0)
    deadline = time.monotonic() + 5  # a busy machine; it takes a third of a second
    while in_database(url)[0].state != TrialState.COMPLETE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert set(in_database(url)[0].params) == {"rate", "units", "batch", "share"}


def test_a_studys_own_attribute_is_written_after_its_trials(storage, url):
    study = new_study(storage)
    study.tell(study.ask(), 1.0)
    study.set_user_attr("best", 0)
    assert in_database(url)[0].state == TrialState.COMPLETE


def test_a_requeued_trial_does_not_get_back_what_was_queued(storage, url):
    study = new_study(storage)
    drawn, half = study.ask(), study.ask()
    for trial in (drawn, half):
        draw(trial)
        trial.report(0.5, 1)
        storage.set_trial_system_attr(trial._trial_id, "completed_rung_0", 0.5)
        storage.set_trial_system_attr(trial._trial_id, "kept", 1)
    set_attributes(storage, drawn._trial_id, {RESOLVED: drawn.params})
    for trial in study.trials:
        requeue(storage, trial)
    storage.flush()
    stored = in_database(url)
    assert stored == study.trials
    assert [trial.state for trial in stored] == [TrialState.WAITING] * 2
    assert [trial.params for trial in stored] == [drawn.params, {}]
    assert all(trial.intermediate_values == {} and trial.datetime_start is None for trial in stored)
    assert all(trial.system_attrs == {"kept": 1} for trial in stored)


def test_what_was_returned_does_not_change(storage):
    study = new_study(storage)
    study.ask()
    trial_id = study.trials[0]._trial_id
    shown = [storage.get_trial(trial_id), *storage.get_all_trials(study._study_id, deepcopy=False)]
    before = copy.deepcopy(shown)
    storage.set_trial_param(trial_id, "x", 0.5, FloatDistribution(0, 1))
    storage.set_trial_intermediate_value(trial_id, 1, 0.5)
    storage.set_trial_user_attr(trial_id, "a", attribute := [1])
    storage.set_trial_system_attr(trial_id, "b", 2)
    storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [1.0])
    attribute.append(2)
    assert shown == before
    assert storage.get_trial(trial_id).user_attrs == {"a": [1]}
    with pytest.raises(UpdateFinishedTrialError):
        storage.set_trial_user_attr(trial_id, "a", 2)


def test_what_is_no_json_is_refused_at_once_and_changes_nothing(storage):
    study = new_study(storage)
    trial = study.ask()
    with pytest.raises(TypeError, match="JSON"):
        trial.set_user_attr("a", object())
    assert study.trials[0].user_attrs == {}
    storage.flush()


def test_threads_share_a_storage(storage, url):
    study = new_study(storage)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=60, n_jobs=4)
    storage.flush()
    assert study.trials == in_database(url)
    assert len(study.trials) == 60


def test_known_states_are_read_from_nowhere(storage, url, monkeypatch):
    study = new_study(storage)
    for value in (1.0, 2.0):
        study.tell(study.ask(), value)
    study.ask()
    storage.flush()
    asked = []

    def ask(*given):
        asked.append(given[2])

    monkeypatch.setattr(reading, "_SYNC_SECONDS", 0.0)
    sqlalchemy.event.listen(storage._backend.engine, "before_cursor_execute", ask)
    try:
        states = [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.RUNNING]
        assert storage.known_states(study._study_id) == states
        assert asked == []
        assert storage.begun(study._study_id) == 3
        assert asked
    finally:
        sqlalchemy.event.remove(storage._backend.engine, "before_cursor_execute", ask)


def test_what_others_run_is_read_whole_only_where_somebody_asks(storage, url, monkeypatch):
    study = new_study(storage)
    other = open_storage(url)
    others = optuna.load_study(study_name="s", storage=other)
    trial = others.ask()
    trial.report(0.5, 1)
    other.flush()
    assert storage.begun(study._study_id) == 1
    trial.report(0.6, 2)
    other.flush()
    monkeypatch.setattr(reading, "_SYNC_SECONDS", 0.0)
    read = []
    monkeypatch.setattr(
        storage._tables, "read", lambda ids: read.append(ids) or tables.Tables.read(storage._tables, ids)
    )
    assert storage.begun(study._study_id) == 1
    assert study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)) == []
    assert read == []
    assert study.get_trials(deepcopy=False)[0].intermediate_values == {1: 0.5, 2: 0.6}
    assert len(read) == 1
    others.tell(trial, 0.6)
    other.flush()
    assert study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))[0].value == 0.6
    other.close()
