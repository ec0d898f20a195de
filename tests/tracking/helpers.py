"""A study as the loop tells it, and what MLflow then shows."""

import time

from tuner.tracking import MlflowSink, StudyRecord, TrialRecord
from tuner.tracking.client import connect
from tuner.tracking.runs import PARENT, TRIAL


class Store:
    """What MLflow shows, read with MLflow's own client."""

    def __init__(self, uri):
        self.uri = uri
        self.client = connect(uri)

    def sink(self, flush_seconds=0.02):
        return MlflowSink(self.uri, flush_seconds)

    def runs(self, experiment="digits-mlp"):
        found = self.client.get_experiment_by_name(experiment)
        return [] if found is None else list(self.client.search_runs([found.experiment_id]))

    def parents(self):
        return [run for run in self.runs() if PARENT not in run.data.tags]

    def trials(self):
        return sorted((run for run in self.runs() if PARENT in run.data.tags), key=lambda r: int(r.data.tags[TRIAL]))

    def numbers(self):
        return [int(run.data.tags[TRIAL]) for run in self.trials()]

    def history(self, run, key):
        return sorted((metric.step, metric.value) for metric in self.client.get_metric_history(run.info.run_id, key))


def study(**changes):
    fields = {
        "study": "first",
        "experiment": "digits-mlp",
        "tags": {"tuner.seed": "0"},
        "parameters": {"epochs": 2, "folds": 2},
        "description": "two widths",
    }
    return StudyRecord(**(fields | changes))


def running(number, **changes):
    return TrialRecord(number, "running", {"hidden_0": 16, "learning_rate": 0.1}, **({"started": 1000} | changes))


ROWS = (
    {"accuracy": 0.5, "accuracy/fold_0": 0.4, "accuracy/fold_1": 0.6},
    {"accuracy": 0.75, "accuracy/fold_0": 0.7, "accuracy/fold_1": 0.8},
)


def ended(number, state="complete", **changes):
    fields = {"started": 1000, "ended": 5000, "value": 0.75 if state == "complete" else None, "history": ROWS}
    return TrialRecord(number, state, {"hidden_0": 16, "learning_rate": 0.1}, **(fields | changes))


def play(sink, number, end=None):
    """A whole trial as the loop tells it."""
    sink.trial_started(running(number))
    for epoch, row in enumerate(ROWS, 1):
        sink.epoch(number, epoch, row)
    sink.trial_ended(end or ended(number))


def until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
