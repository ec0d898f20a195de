"""The experiment: what is tuned."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuner.data import Dataset
from tuner.errors import InputError, check_name, nearest
from tuner.experiment.init_from import InitFrom
from tuner.training.recipe import Model
from tuner.training.tasks import Task

SAMPLERS = ("cmaes", "gp", "grid", "random", "tpe")
PRUNERS = ("asha", "hyperband", "median", "none")


@dataclass(frozen=True, eq=False, kw_only=True)
class Experiment:
    """What is tuned: data, model, search space, cross-validation, training budget and metric.

    Args:
        name: of the experiment; a study's default name too.
        data: a ``Dataset``, or a function that returns one.
        model: called with (hyperparameters, spec, rngs), returns the ``nnx.Module`` that maps a batch to outputs.
        search_space: a function of an Optuna trial that returns a mapping of hyperparameters.
        metric: the objective; its direction comes with it.
        metrics: further ones to track for every epoch. The task's usual ones are tracked for a trial's last epoch.
        task: losses and metrics of your own; those that the data's targets ask for by default.
        folds: how many, or an object with scikit-learn's ``split``.
        epochs: of every training.
        test_fraction: cut off before the folds; no trial ever sees it. Not used where the data has its own test part.
        split_seed: moves the test set and the folds. The study's seed never does.
        standardize: whether a table's columns are standardized by a fold's training rows.
        sampler: Optuna's, by object or by name: cmaes, gp, grid, random, tpe.
        pruner: Optuna's, by object or by name: asha, hyperband, median, none.
        init_from: what every lane starts from, and what of it is not trained; by default all is drawn and trained.
        data_limit: train on this many examples, a stratified choice.
        rows_at_once: on the device; by default all where its memory allows, else as many as fit.

    Raises:
        InputError: a field cannot be what it is.
    """

    name: str
    data: Dataset | Callable[[], Dataset]
    model: Model
    search_space: Callable[[Any], Mapping[str, Any]]
    metric: str = "accuracy"
    metrics: Sequence[str] = ()
    task: Task | None = None
    folds: Any = 5
    epochs: int = 20
    test_fraction: float = 0.2
    split_seed: int = 0
    standardize: bool = True
    sampler: Any = "tpe"
    pruner: Any = "asha"
    data_limit: int | None = None
    rows_at_once: int | None = None
    init_from: InitFrom | None = None

    def __post_init__(self) -> None:
        check_name("an experiment", self.name)
        for field in ("model", "search_space"):
            if not callable(getattr(self, field)):
                raise InputError(f"the experiment's {field} cannot be called", getattr(self, field), "Give a function.")
        if not isinstance(self.metric, str):
            raise InputError("the metric is given by its name", self.metric, 'Give metric="accuracy", say.')
        if isinstance(self.metrics, str) or not all(isinstance(name, str) for name in self.metrics):
            raise InputError("metrics is no list of names", self.metrics, 'Give metrics=["roc_auc"], say.')
        if not isinstance(self.task, Task | None):
            raise InputError("the task is no Task", self.task, "Give tuner.Task(losses=..., metrics=...), or none.")
        if not isinstance(self.init_from, InitFrom | None):
            raise InputError("init_from is no InitFrom", self.init_from, 'Give InitFrom("weights.safetensors"), say.')
        _check_whole("epochs", self.epochs, 1)
        if self.rows_at_once is not None:
            _check_whole("rows_at_once", self.rows_at_once, 1)
        _check_whole("split_seed", self.split_seed, 0)
        _check_folds(self.folds)
        _check_fraction(self.test_fraction)
        _check_named("sampler", self.sampler, SAMPLERS, "sample_independent")
        _check_named("pruner", self.pruner, PRUNERS, "prune")

    @property
    def curves(self) -> frozenset[str]:
        """The metrics that are tracked for every epoch; the others only for a trial's last."""
        return frozenset({self.metric, "loss", "train_loss", *self.metrics})

    def replace(self, **changes: Any) -> "Experiment":
        """The same experiment with other fields, checked."""
        return dataclasses.replace(self, **changes)


def _check_whole(field: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{field} must be a whole number of at least {least}", value, f"Give {field}={max(least, 1)}.")


def _check_folds(folds: Any) -> None:
    if hasattr(folds, "split") and not isinstance(folds, str):
        return
    if isinstance(folds, bool) or not isinstance(folds, int) or folds < 2:
        raise InputError(
            "folds must be a whole number of at least 2, or an object with scikit-learn's split",
            folds,
            "Give folds=5, say.",
        )


def _check_fraction(fraction: Any) -> None:
    number = isinstance(fraction, int | float) and not isinstance(fraction, bool)
    if not number or not math.isfinite(fraction) or not 0 < fraction < 1:
        raise InputError("test_fraction must lie between 0 and 1", fraction, "Give test_fraction=0.2, say.")


def _check_named(field: str, value: Any, names: tuple[str, ...], method: str) -> None:
    if isinstance(value, str):
        if value not in names:
            raise InputError(f"there is no {field} of this name", value, nearest(value, names))
    elif not hasattr(value, method) or isinstance(value, type):
        raise InputError(f"the {field} must be one of Optuna's objects or a name", value, f"Names: {', '.join(names)}.")
