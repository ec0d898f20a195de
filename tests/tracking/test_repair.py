"""A study that goes on: whatever an earlier process left, each finished trial shows exactly once."""

from dataclasses import replace

import pytest

from tuner.tracking.runs import PARENT, STATE, STUDY, TRIAL, children

from .helpers import ROWS, ended, play, running, study


@pytest.fixture
def resumed(store):
    """A study of trials 0 (complete), 1 (pruned) and 2 (running) whose process was killed; its record."""
    sink = store.sink()
    sink.study_started(study())
    play(sink, 0)
    play(sink, 1, ended(1, "pruned"))
    sink.trial_started(running(2))
    sink.study_ended("interrupted", {})
    sink.close()
    return study(run_id=sink.run_id(None))


def go_on(store, record, known):
    sink = store.sink()
    sink.study_started(record, known)
    sink.close()
    assert sink.problem is None
    return sink


def test_the_parent_is_used_again_and_runs(store, resumed):
    changed = replace(resumed, parameters={"epochs": 9, "sampler": "tpe"}, tags={"tuner.seed": "1"})
    sink = go_on(store, changed, [ended(0), ended(1, "pruned")])
    [parent] = store.parents()
    assert sink.run_id(None) == parent.info.run_id == resumed.run_id
    assert (parent.info.status, parent.data.tags[STATE], parent.data.tags["tuner.seed"]) == ("RUNNING", "running", "1")
    assert parent.data.params == {"epochs": "2", "folds": "2", "sampler": "tpe"}


def test_what_is_there_is_kept_and_what_ran_is_deleted(store, resumed):
    before = {run.info.run_id for run in store.trials() if run.info.status != "RUNNING"}
    sink = go_on(store, resumed, [ended(0), ended(1, "pruned")])
    assert {run.info.run_id for run in store.trials()} == before
    assert {sink.run_id(0), sink.run_id(1)} == before
    assert sink.run_id(2) is None


def test_a_missing_trial_is_written(store, resumed):
    go_on(store, resumed, [ended(0), ended(1, "pruned"), ended(2, "failed", reason="NaN")])
    assert store.numbers() == [0, 1, 2]
    run = store.trials()[2]
    assert (run.info.status, run.info.start_time, run.info.end_time) == ("FAILED", 1000, 5000)
    assert store.history(run, "accuracy/fold_1") == [(1, ROWS[0]["accuracy/fold_1"]), (2, ROWS[1]["accuracy/fold_1"])]


def test_doubles_wrong_states_and_unknown_numbers_go(store, resumed):
    experiment_id = store.runs()[0].info.experiment_id
    for number, state, status in [(0, "complete", "FINISHED"), (1, "complete", "FINISHED"), (8, "failed", "FAILED")]:
        tags = {PARENT: resumed.run_id, STUDY: "first", TRIAL: str(number), STATE: state}
        run = store.client.create_run(experiment_id, tags=tags)
        store.client.set_terminated(run.info.run_id, status)
    go_on(store, resumed, [ended(0), ended(1, "pruned")])
    assert store.numbers() == [0, 1]
    assert [run.data.tags[STATE] for run in store.trials()] == ["complete", "pruned"]


def test_runs_that_are_no_trial_are_left_alone(store, resumed):
    mine = store.client.create_run(store.runs()[0].info.experiment_id, tags={PARENT: resumed.run_id})
    go_on(store, resumed, [])
    assert [run.info.run_id for run in store.runs() if PARENT in run.data.tags] == [mine.info.run_id]


@pytest.mark.parametrize("gone", ["deleted", "unknown"])
def test_a_parent_that_is_gone_is_made_anew_with_all_its_trials(store, resumed, gone):
    if gone == "deleted":
        store.client.delete_run(resumed.run_id)
    record = resumed if gone == "deleted" else replace(resumed, run_id="0" * 32)
    sink = go_on(store, record, [ended(0), ended(1, "pruned")])
    new = sink.run_id(None)
    assert new != resumed.run_id
    below = [run for run in store.trials() if run.data.tags[PARENT] == new]
    assert [run.data.tags[TRIAL] for run in below] == ["0", "1"]
    if gone == "deleted":
        assert store.numbers() == [0, 1]


def test_children_are_read_page_by_page(store, resumed, monkeypatch):
    monkeypatch.setattr("tuner.tracking.runs._PAGE", 2)
    experiment_id = store.runs()[0].info.experiment_id
    assert len(children(store.client, experiment_id, resumed.run_id)) == 3
