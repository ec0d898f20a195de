"""How a study shows in MLflow, in a real SQLite store."""

import math
import sys

import pytest

from tuner.tracking.runs import PARENT, REASON, STATE, STUDY, TRIAL

from .helpers import ROWS, ended, play, running, study, until


def test_one_run_per_study_and_one_below_it_per_trial(store):
    sink = store.sink()
    sink.study_started(study())
    play(sink, 0)
    play(sink, 7)
    sink.study_ended("finished", {"best_value": 0.75})
    sink.close()
    [parent] = store.parents()
    assert sink.run_id(None) == parent.info.run_id
    assert (parent.info.run_name, parent.info.status) == ("first", "FINISHED")
    assert parent.data.params == {"epochs": "2", "folds": "2"}
    assert parent.data.metrics == {"best_value": 0.75}
    tags = {STUDY: "first", STATE: "finished", "tuner.seed": "0", "mlflow.note.content": "two widths"}
    assert tags.items() <= parent.data.tags.items()
    assert store.numbers() == [0, 7]
    for run in store.trials():
        assert run.data.tags[PARENT] == parent.info.run_id
        assert run.info.run_id == sink.run_id(int(run.data.tags[TRIAL]))
        assert run.info.run_name == f"trial {run.data.tags[TRIAL]}"
        assert run.data.params == {"hidden_0": "16", "learning_rate": "0.1"}
        assert (run.info.start_time, run.info.end_time) == (1000, 5000)


@pytest.mark.parametrize(("state", "status"), [("complete", "FINISHED"), ("pruned", "KILLED"), ("failed", "FAILED")])
def test_states(store, state, status):
    sink = store.sink()
    sink.study_started(study())
    play(sink, 0, ended(0, state, reason=None if state == "complete" else "epoch 2", tags={"colour": "blue"}))
    sink.close()
    [run] = store.trials()
    assert (run.info.status, run.data.tags[STATE], run.data.tags[STUDY]) == (status, state, "first")
    assert run.data.tags.get(REASON) == (None if state == "complete" else "epoch 2")
    assert run.data.tags["colour"] == "blue"
    assert run.data.metrics.get("value") == (0.75 if state == "complete" else None)


def test_folds_are_metrics_with_epochs_as_steps(store):
    sink = store.sink()
    sink.study_started(study())
    play(sink, 0)
    sink.close()
    [run] = store.trials()
    for key in ROWS[0]:
        assert store.history(run, key) == [(1, ROWS[0][key]), (2, ROWS[1][key])]
    assert store.history(run, "value") == [(2, 0.75)]


def test_a_running_trial_shows_while_it_runs(store):
    sink = store.sink()
    sink.study_started(study())
    sink.trial_started(running(0))
    sink.epoch(0, 1, ROWS[0])
    until(lambda: sink.run_id(0) and store.trials()[0].data.metrics)
    [run] = store.trials()
    assert (run.info.status, run.data.tags[STATE], run.data.metrics["accuracy"]) == ("RUNNING", "running", 0.5)
    sink.epoch(0, 2, ROWS[1])
    sink.trial_ended(ended(0))
    sink.close()
    assert store.history(store.trials()[0], "accuracy") == [(1, 0.5), (2, 0.75)]
    assert store.trials()[0].data.params == {"hidden_0": "16", "learning_rate": "0.1"}


@pytest.mark.parametrize(("outcome", "status"), [("interrupted", "KILLED"), ("failed", "FAILED")])
def test_how_a_study_ended(store, outcome, status):
    sink = store.sink()
    sink.study_started(study())
    sink.study_ended(outcome, {})
    sink.close()
    [parent] = store.parents()
    assert (parent.info.status, parent.data.tags[STATE]) == (status, outcome)


def test_two_studies_of_an_experiment_share_it(store):
    for name in ("first", "second"):
        sink = store.sink()
        sink.study_started(study(study=name))
        play(sink, 0)
        sink.close()
    assert sorted(run.info.run_name for run in store.parents()) == ["first", "second"]
    assert store.numbers() == [0, 0]


def test_numbers_that_are_none_and_names_that_mlflow_refuses(store):
    sink = store.sink()
    sink.study_started(study())
    sink.trial_started(running(0, tags={"note": "n" * 9000}))
    sink.epoch(0, 1, {"nan": math.nan, "plus": math.inf, "minus": -math.inf, "a?b": 1.0})
    sink.trial_ended(ended(0, "failed", history=()))
    sink.close()
    assert sink.problem is None
    metrics = store.trials()[0].data.metrics
    assert math.isnan(metrics["nan"])
    assert (metrics["plus"], metrics["minus"]) == (sys.float_info.max, -sys.float_info.max)
    assert metrics["a_b"] == 1.0
    assert store.trials()[0].data.tags["note"] == "n" * 8000


def test_keys_that_look_like_paths_lose_no_trial(store):
    names = ["../../x", "/abs", "a/../b", "a//b", "a/", "..", ".", "...", "./a", "a/./b", "/" * 300, "a/b.c", "\0/\n"]
    sink = store.sink()
    sink.study_started(study(parameters=dict.fromkeys(names, 1)))
    row = dict.fromkeys(names, 0.5)
    play(sink, 0, ended(0, history=(row,), tags=dict.fromkeys(names, "x")))
    sink.close()
    assert sink.problem is None
    [run] = store.trials()
    shown = {"__/__/x", "_abs", "a/__/b", "a_/b", "a_", "__", "_", "__.", "_/a", "a/_/b", "_" * 250, "a/b.c", "_/_"}
    assert shown <= run.data.metrics.keys()
    assert shown <= run.data.tags.keys()
    assert store.parents()[0].data.params.keys() == shown


def test_long_histories_and_many_parameters_are_cut_into_calls(store):
    sink = store.sink()
    sink.study_started(study(parameters={f"p{i}[x]": "v" * 7000 for i in range(230)}))
    rows = [{f"m{i}": float(epoch) for i in range(30)} for epoch in range(70)]
    sink.trial_started(running(0))
    sink.trial_ended(ended(0, history=rows))
    sink.close()
    assert sink.problem is None
    [parent] = store.parents()
    assert len(parent.data.params) == 230
    assert parent.data.params["p0_x_"] == "v" * 6000
    assert store.history(store.trials()[0], "m29") == [(epoch + 1, float(epoch)) for epoch in range(70)]


def test_an_experiment_that_was_deleted_is_restored(store):
    experiment_id = store.client.create_experiment("digits-mlp")
    store.client.delete_experiment(experiment_id)
    sink = store.sink()
    sink.study_started(study())
    play(sink, 0)
    sink.close()
    assert sink.problem is None
    assert store.numbers() == [0]


def test_a_trial_that_starts_again_shows_once(store):
    sink = store.sink()
    sink.study_started(study())
    sink.trial_started(running(0))
    sink.epoch(0, 1, {"old": 1.0})
    until(lambda: sink.run_id(0))
    old = sink.run_id(0)
    sink.trial_started(running(0))
    sink.trial_ended(ended(0))
    sink.close()
    [run] = store.trials()
    assert run.info.run_id == sink.run_id(0) != old
    assert "old" not in run.data.metrics
    assert store.client.get_run(old).info.lifecycle_stage == "deleted"


def test_a_requeued_trial_leaves_no_run(store):
    sink = store.sink()
    sink.study_started(study())
    sink.trial_started(running(0))
    until(lambda: sink.run_id(0))
    sink.trial_requeued(0)
    sink.epoch(0, 2, ROWS[1])
    sink.close()
    assert store.trials() == []
    assert sink.run_id(0) is None
    assert sink.problem is None
