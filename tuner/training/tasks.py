"""What a task is to the trainer: the loss of an example, the metrics, and how many outputs a model has."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tuner.errors import InputError, nearest
from tuner.training.losses import classification_losses, next_token_losses, regression_losses
from tuner.training.metrics import BY_CLASS, CLASSIFICATION, NEXT_TOKEN, REGRESSION, Metric, of_class

Losses = Callable[[Any, Any, Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Task:
    """A task.

    Every task has the metric ``loss``: the mean over the validation rows of what is trained, as the trial's own
    hyperparameters shape it and without penalties. It is beside the training loss, to see overfitting; to compare
    trials whose losses differ, take another one.

    Attributes:
        losses: (outputs, targets, hyperparameters) -> one loss an example, shape (batch,).
        metrics: by name, beside ``loss``. All of them are tracked.
        outputs: how many numbers a model returns for an example; None where the data says it.
    """

    losses: Losses
    metrics: Mapping[str, Metric]
    outputs: int | None = None

    def __hash__(self) -> int:
        return hash((self.losses, tuple(self.metrics.items()), self.outputs))


LOSS = Metric("minimize", lambda *_: {}, lambda sums: sums["loss"] / sums["rows"])
"""The sums hold the losses and the number of rows, whatever the metrics."""

CLASSIFICATION_TASK = Task(classification_losses, CLASSIFICATION)
REGRESSION_TASK = Task(regression_losses, REGRESSION)
NEXT_TOKEN_TASK = Task(next_token_losses, NEXT_TOKEN)

TASKS = {
    "classification": CLASSIFICATION_TASK,
    "regression": REGRESSION_TASK,
    "next_token": NEXT_TOKEN_TASK,
}
"""By the data's kind of targets."""

_ON_REQUEST = ("log_loss", "roc_auc")
"""Not tracked unless asked for: the first is the loss once more where labels are not smoothed, the other sorts all rows
in every epoch."""


def task_of(
    kind: str, *, own: Task | None = None, labels: Sequence[Any] | None = None, asked: Iterable[str] = ()
) -> Task:
    """The task with those metrics that are tracked: its usual ones, and those that are asked for.

    Args:
        kind: of the data's targets.
        own: the user's task, in place of the usual one.
        labels: what the classes are called: ``f1/malignant`` is the F1 of one.
        asked: names of metrics.

    Raises:
        InputError: a metric does not exist or does not fit the task.
    """
    task, called = own or TASKS[kind], "this task" if own else f"a {kind.replace('_', ' ')}"
    usual = {name: metric for name, metric in task.metrics.items() if own or name not in _ON_REQUEST}
    found = {name: _metric_of(name, task, labels or (), called) for name in asked}
    return replace(task, metrics={"loss": LOSS} | usual | found)


def _metric_of(name: str, task: Task, labels: Sequence[Any], called: str) -> Metric:
    known = {"loss": LOSS} | dict(task.metrics)
    if name in known:
        return known[name]
    kind, _, label = name.partition("/")
    names = [str(known) for known in labels]
    if task.losses is classification_losses and kind in BY_CLASS and label:
        if label in names:
            return of_class(kind, names.index(label))
        raise InputError("the metric's class is none of the data's", name, nearest(label, names))
    elsewhere = any(name in other.metrics for other in TASKS.values())
    what = f"the metric does not fit {called}" if elsewhere else "there is no such metric"
    raise InputError(what, name, nearest(name, known))
