"""What every sink has in common, seen from the study."""

import pytest

from tuner.tracking import CompositeSink, MemorySink, NullSink, open_sink
from tuner.tracking.runs import STATE

from .helpers import ROWS, ended, play, running, study


class MemoryView:
    def __init__(self):
        self.sink = MemorySink()

    def states(self):
        return {number: trial.state for number, trial in self.sink.trials.items()}

    def curve(self, number):
        return [(epoch, row["accuracy"]) for epoch, row in sorted(self.sink.epochs[number].items())]


class MlflowView:
    def __init__(self, store, wrap):
        self.store = store
        self.sink = wrap(store.sink())

    def states(self):
        return {int(run.info.run_name.split()[1]): run.data.tags[STATE] for run in self.store.trials()}

    def curve(self, number):
        [run] = [run for run in self.store.trials() if run.info.run_name == f"trial {number}"]
        return self.store.history(run, "accuracy")


@pytest.fixture(params=["memory", "mlflow", "composite"])
def view(request):
    if request.param == "memory":
        return MemoryView()
    store = request.getfixturevalue("store")
    return MlflowView(
        store, (lambda s: CompositeSink([MemorySink(), s, NullSink()])) if request.param == "composite" else lambda s: s
    )


CURVE = [(epoch, row["accuracy"]) for epoch, row in enumerate(ROWS, 1)]


def test_trials_show_their_state_and_curve(view):
    view.sink.study_started(study())
    play(view.sink, 0)
    play(view.sink, 1, ended(1, "pruned"))
    play(view.sink, 2, ended(2, "failed", reason="out of memory"))
    view.sink.study_ended("finished", {"best_value": 0.75})
    view.sink.close()
    assert view.states() == {0: "complete", 1: "pruned", 2: "failed"}
    assert view.curve(0) == CURVE
    assert view.sink.problem is None


def test_epochs_that_were_not_told_come_from_the_history(view):
    view.sink.study_started(study())
    view.sink.trial_started(running(0))
    view.sink.epoch(0, 1, ROWS[0])
    view.sink.trial_ended(ended(0))
    view.sink.close()
    assert view.curve(0) == CURVE


def test_a_requeued_trial_is_gone_and_shows_once_when_it_ran_again(view):
    view.sink.study_started(study())
    view.sink.trial_started(running(0))
    view.sink.epoch(0, 1, {"accuracy": 0.1})
    view.sink.trial_started(running(1))
    view.sink.trial_requeued(0)
    view.sink.trial_requeued(1)
    play(view.sink, 0)
    view.sink.close()
    assert view.states() == {0: "complete"}
    assert view.curve(0) == CURVE


def test_known_trials_are_shown(view):
    view.sink.study_started(study(), [ended(0), ended(3, "pruned")])
    view.sink.close()
    assert view.states() == {0: "complete", 3: "pruned"}
    assert view.curve(3) == CURVE


def test_closing_twice_and_without_a_study_is_fine(view):
    view.sink.close()
    view.sink.close(1.0)
    assert view.sink.problem is None


def test_no_uri_tracks_nothing():
    sink = open_sink(None)
    play(sink, 0)
    sink.close()
    assert sink.run_id(0) is None


def test_a_composite_has_its_sinks_problems_and_ids():
    class Troubled(NullSink):
        problem = "the disk is full"

        def run_id(self, number):
            return f"run {number}"

    sink = CompositeSink([MemorySink(), Troubled()])
    assert sink.problem == "the disk is full"
    assert sink.run_id(4) == "run 4"
    assert sink.run_id(None) == "run None"
