"""What a study remembers of itself and of its trials, as Optuna's user attributes: plain data."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
from optuna.study import StudyDirection
from optuna.trial import TrialState

from tuner.experiment import Experiment, Fingerprint, Source
from tuner.experiment.fingerprint import describe_field
from tuner.hyperparameters import Width, plain

STUDY = "tuner:study"
COST = "tuner:cost"
COST_TOTAL = "tuner:cost_total"
BEST = "tuner:best"
HISTORY = "tuner:history"
REASON = "tuner:reason"
PLACEMENT = "tuner:placement"
SEAT = "tuner:seat"

MOST_CLASSES = 100  # of a confusion matrix that is kept

_FIELDS = ("metric", "folds", "epochs", "test_fraction", "split_seed", "sampler", "pruner")
_LIBRARIES = ("tuner", "optuna", "jax", "flax", "optax", "numpy", "mlflow")
_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


@dataclass(frozen=True)
class Shown:
    """What tracking shows of an experiment: its fields, the metrics of every epoch (None: all), the classes' names.

    origin: tags that tell where the study came from. dataset: name, source, digest and profile of the data.
    """

    parameters: dict[str, Any] = field(default_factory=dict)
    curves: list[str] | None = None
    labels: list[str] | None = None
    origin: dict[str, str] = field(default_factory=dict)
    dataset: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyMemory:
    """What a study must remember to be resumed from nothing but its name.

    deterministic: whether nothing is decided by measurement. checkpoint_dir: that was chosen.
    file, relative, attribute: the experiment's file (absolute, and within its root) and its name there; None where the
    study was started from Python. tracking_uri: without credentials; None where nothing is tracked. key: of this study
    alone, by which tracking finds its run again. shown: what else tracking needs.
    """

    experiment: str
    metric: str
    file: str | None
    relative: str | None
    attribute: str
    settings: list[str]
    seed: int
    parallel_trials: int
    tracking_uri: str | None
    fingerprint: Fingerprint
    deterministic: bool = False
    checkpoint_dir: str | None = None
    shown: Shown = field(default_factory=Shown)
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    libraries: dict[str, str] = field(default_factory=lambda: {name: version(name) for name in _LIBRARIES})


def shown_of(experiment: Experiment, labels: Sequence[Any] | None) -> Shown:
    """What tracking shows of an experiment whose classes have these labels."""
    fields = {name: describe_field(getattr(experiment, name)) for name in _FIELDS}
    few = labels is not None and len(labels) <= MOST_CLASSES
    return Shown(fields, sorted(experiment.curves), [str(label) for label in labels or ()] if few else None)


def memory_of(
    experiment: Experiment,
    source: Source | None,
    *,
    settings: Sequence[str],
    seed: int,
    parallel_trials: int,
    tracking_uri: str | None,
    fingerprint: Fingerprint,
    deterministic: bool,
) -> StudyMemory:
    """The memory of a study that begins now."""
    return StudyMemory(
        experiment=experiment.name,
        metric=experiment.metric,
        file=None if source is None else str(source.file),
        relative=None if source is None else str(source.file.relative_to(source.root)),
        attribute="experiment" if source is None else source.name,
        settings=list(settings),
        seed=seed,
        parallel_trials=parallel_trials,
        tracking_uri=tracking_uri,
        fingerprint=fingerprint,
        deterministic=deterministic,
    )


@dataclass
class History:
    """What a trial measured, by epoch: the objective on each fold, and the means of the other metrics.

    curves: the other metrics that are shown for every epoch; the rest only for the last. None shows all.
    """

    metric: str
    folds: list[list[float]] = field(default_factory=list)
    means: dict[str, list[float]] = field(default_factory=dict)
    curves: frozenset[str] | None = None

    def add(self, metrics: Mapping[str, np.ndarray], train_loss: np.ndarray) -> None:
        """Add an epoch: each metric and the training loss over the folds."""
        self.folds.append([float(value) for value in metrics[self.metric]])
        others = {name: values for name, values in metrics.items() if name != self.metric}
        for name, values in (others | {"train_loss": train_loss}).items():
            self.means.setdefault(name, []).append(float(np.mean(values)))

    @property
    def values(self) -> list[float]:
        """The mean over the folds of the objective, by epoch."""
        return [float(np.mean(folds)) for folds in self.folds]

    def epochs(self) -> list[dict[str, float]]:
        """What is shown of each epoch, by name, folds as ``accuracy/fold_0``; of the last one all metrics."""
        rows = [self.epoch(index) for index in range(len(self.folds))]
        return [*rows[:-1], rows[-1] | {name: values[-1] for name, values in self.means.items()}] if rows else []

    def epoch(self, index: int) -> dict[str, float]:
        """What is shown of one epoch; the index counts from 0, and from the end where it is negative."""
        folds = self.folds[index]
        row = {self.metric: float(np.mean(folds))}
        row |= {f"{self.metric}/fold_{number}": value for number, value in enumerate(folds)}
        shown = self.means.keys() if self.curves is None else self.means.keys() & self.curves
        return row | {name: self.means[name][index] for name in sorted(shown)}

    def is_stalled(self, patience: int | None, direction: StudyDirection) -> bool:
        """Whether the mean over the folds of the objective has not been better for ``patience`` epochs."""
        if patience is None:
            return False
        values = self.values
        best = max(values) if direction == StudyDirection.MAXIMIZE else min(values)
        return len(values) - 1 - values.index(best) >= patience

    @property
    def last(self) -> float:
        """The mean over the folds of the objective in the last epoch."""
        return float(np.mean(self.folds[-1]))


def jsonable(value: Any) -> Any:
    """Hyperparameters as JSON takes them: a ``Width`` as its size and cap, a function as its name."""
    if isinstance(value, Width):
        return {"size": int(value.size), "cap": value.cap}
    if isinstance(value, Mapping):
        return {name: jsonable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    value = plain(value)
    return (
        value
        if value is None or isinstance(value, bool | int | float | str)
        else getattr(value, "__name__", str(value))
    )


def state_name(state: TrialState) -> str:
    """Optuna's state in the words of the results: complete, pruned, failed, running, waiting."""
    return _STATES[state]
