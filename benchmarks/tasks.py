"""The tasks that tuner and its peers are measured on: data, folds, budget and search space, all without tuner."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold, train_test_split

from benchmarks.mnist import load_mnist

WEIGHT_DECAY = (1e-6, 1e-2)  # log-uniform
DROPOUT = (0.0, 0.5)  # uniform


@dataclass(frozen=True)
class Task:
    """One task; hashable, so that it can be a static argument of a compiled function.

    Attributes:
        name: as the commands take it.
        load: returns images float32 [rows, height, width, 1] of 0..1 and labels int32 [rows].
        convolutional: whether the widths are those of convolutions, else of dense layers.
        widths: (Optuna's name, least, most) of each layer's width, log-uniform integers.
        learning_rate: its range, log-uniform.
        batch_sizes: the choices.
        folds: of the cross-validation.
        epochs: of each training.
        trials: that tuner runs; the peers run the first of them.
    """

    name: str
    load: Callable[[], tuple[np.ndarray, np.ndarray]]
    convolutional: bool
    widths: tuple[tuple[str, int, int], ...]
    learning_rate: tuple[float, float]
    batch_sizes: tuple[int, ...]
    folds: int
    epochs: int
    trials: int

    def suggest(self, trial: Any) -> dict[str, Any]:
        """A trial's hyperparameters from the ranges above, by Optuna."""
        return {
            "widths": [trial.suggest_int(name, least, most, log=True) for name, least, most in self.widths],
            "learning_rate": trial.suggest_float("learning_rate", *self.learning_rate, log=True),
            "batch_size": trial.suggest_categorical("batch_size", list(self.batch_sizes)),
            "weight_decay": trial.suggest_float("weight_decay", *WEIGHT_DECAY, log=True),
            "dropout": trial.suggest_float("dropout", *DROPOUT),
        }

    def hyperparameters(self, params: dict[str, Any]) -> dict[str, Any]:
        """The same form from parameters that are given, for peers with search spaces of their own."""
        names = ("learning_rate", "batch_size", "weight_decay", "dropout")
        return {"widths": [params[name] for name, _, _ in self.widths]} | {name: params[name] for name in names}


@dataclass(frozen=True, eq=False)
class Data:
    """What is left of a task's rows without the test set, and each fold's (training, validation) rows."""

    x: np.ndarray
    y: np.ndarray
    folds: list[tuple[np.ndarray, np.ndarray]]

    @property
    def classes(self) -> int:
        """The number of classes."""
        return int(self.y.max()) + 1


def load_data(task: Task) -> Data:
    """The task's data; sorting the rows that are left makes the folds the very ones that tuner trains on."""
    x, y = task.load()
    rest, _ = train_test_split(np.arange(len(y)), test_size=0.2, stratify=y, random_state=0)
    x, y = x[np.sort(rest)], y[np.sort(rest)]
    return Data(x, y, list(StratifiedKFold(task.folds, shuffle=True, random_state=0).split(x, y)))


def steps_per_epoch(rows: int, batch_size: int) -> int:
    """Steps of an epoch: the last batch is filled up."""
    return -(-rows // batch_size)


def epoch_batches(rows: np.ndarray, batch_size: int, rng: np.random.Generator) -> np.ndarray:
    """Row numbers [steps, batch_size] of an epoch; the last batch is filled up from the permutation's start."""
    return np.resize(rng.permutation(rows), (steps_per_epoch(len(rows), batch_size), batch_size))


def _digits() -> tuple[np.ndarray, np.ndarray]:
    bunch = load_digits()
    return (bunch.images[..., np.newaxis] / 16).astype(np.float32), bunch.target.astype(np.int32)


def _mnist() -> tuple[np.ndarray, np.ndarray]:
    images, labels = load_mnist()
    return (images / 255).astype(np.float32), labels.astype(np.int32)


_DENSE = (("hidden_0", 16, 256), ("hidden_1", 16, 256))
_CONVOLUTIONS = (("channels_0", 8, 32), ("channels_1", 8, 64))
_SMALL, _LARGE = (16, 32, 64, 128), (32, 64, 128, 256)

TASKS = {
    task.name: task
    for task in (
        Task("digits-mlp", _digits, False, _DENSE, (1e-3, 1e-1), _SMALL, folds=5, epochs=20, trials=100),  # noqa: FBT003
        Task("digits-cnn", _digits, True, _CONVOLUTIONS, (1e-4, 1e-2), _SMALL, folds=5, epochs=20, trials=100),  # noqa: FBT003
        Task("mnist-cnn", _mnist, True, _CONVOLUTIONS, (1e-4, 1e-2), _LARGE, folds=3, epochs=5, trials=20),  # noqa: FBT003
    )
}
