"""The data set and its folds as the arrays that programs take as arguments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tuner.data import Prepared, Spec, Statistics
from tuner.lanes.pieces import Pieces
from tuner.training.lane import Fold
from tuner.training.settings import check_settings
from tuner.training.tasks import Task
from tuner.training.weights import NO_WEIGHTS, Weights

_EVALUATION_ROWS = 1024  # rows of one evaluation batch at most: bounds the memory of large validation sets
_EVALUATION_ROWS_ON_CPU = 256  # a core's cache holds no more: an epoch of MNIST's CNN takes a fifth less time


@dataclass(frozen=True, eq=False)
class Part:
    """The rows that one lane trains on and is evaluated on, and the statistics of the former."""

    train: np.ndarray
    validation: np.ndarray
    statistics: Statistics


def steps(part: Part, batch_size: int) -> int:
    """Steps of an epoch: the last batch is filled up, so every row is seen."""
    return -(-len(part.train) // batch_size)


@dataclass(frozen=True, eq=False)
class Arrays:
    """A data set and its folds, ready for programs.

    Args:
        prepared: the data.
        folds: the parts that the folds of every trial train on.
        final: all rows that are not test data, evaluated on the test rows.
        epochs: of a training.
        task: its losses and metrics.
        weights: that lanes start from instead of drawing them.
        rows_at_once: on the device; None leaves it to the device's memory.
    """

    prepared: Prepared
    folds: Sequence[Part]
    final: Part
    epochs: int
    task: Task
    weights: Weights = NO_WEIGHTS
    rows_at_once: int | None = None

    @cached_property
    def spec(self) -> Spec:
        """What a model must know of the data and the task."""
        spec = self.prepared.spec
        return spec if self.task.outputs is None else replace(spec, outputs=self.task.outputs)

    @cached_property
    def pieces(self) -> Pieces:
        """The rows as they come to the device."""
        return Pieces(self.prepared, self.rows_at_once)

    def in_pieces(self, part: Part) -> list[Part]:
        """What of a part is in each of the pieces, by the places of the rows there."""
        if part not in self._in_pieces:
            pairs = zip(self.pieces.split(part.train), self.pieces.split(part.validation), strict=True)
            self._in_pieces[part] = [Part(train, validation, part.statistics) for train, validation in pairs]
        return self._in_pieces[part]

    @cached_property
    def _in_pieces(self) -> dict[Part, list[Part]]:
        return {}

    @cached_property
    def _all_parts(self) -> list[Part]:
        """All parts in all pieces."""
        return [piece for part in [*self.folds, self.final] for piece in self.in_pieces(part)]

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Shape of the statistics of the targets."""
        return np.shape(self.final.statistics.target_mean)

    def check(self, hyperparameters: Mapping[str, Any]) -> None:
        """Check the trainer's hyperparameters of one trial.

        Raises:
            InputError: a value breaks its rule, or does not fit the data.
        """
        check_settings(hyperparameters, self.spec, min(len(part.train) for part in self.folds))

    def most_steps(self, batch_size: int) -> int:
        """Steps of the longest way through a piece, the final training's among them."""
        return max(steps(part, batch_size) for part in self._all_parts)

    @cached_property
    def rows_to_order(self) -> int | None:
        """Training rows of the largest part, where programs draw the order of the rows; None where the host does."""
        return None if jax.default_backend() == "cpu" else max(len(part.train) for part in self._all_parts)

    def uneven(self, batch_size: int) -> bool:
        """Whether folds take different numbers of steps through a piece."""
        each = zip(*(self.in_pieces(fold) for fold in self.folds), strict=True)
        return any(len({steps(part, batch_size) for part in parts}) > 1 for parts in each)

    @cached_property
    def evaluation_shape(self) -> tuple[int, int]:
        """(batches, rows a batch) that hold every part's validation rows."""
        most = min(_EVALUATION_ROWS, _EVALUATION_ROWS_ON_CPU) if jax.default_backend() == "cpu" else _EVALUATION_ROWS
        largest = max(len(part.validation) for fold in self.folds for part in self.in_pieces(fold))
        rows = -(-largest // -(-largest // most))
        return max(self.batches(part, rows) for part in self._all_parts), rows

    def batches(self, part: Part, rows: int | None = None) -> int:
        """Batches that a part's evaluation takes."""
        return -(-len(part.validation) // (rows or self.evaluation_shape[1]))

    def stacked(self, parts: Sequence[Part], batch_size: int, piece: int = 0) -> Fold:
        """What of the parts is in a piece, as one ``Fold`` with a leading axis, numpy."""
        return jax.tree.map(lambda *leaves: np.stack(leaves), *(self._fold(part, batch_size, piece) for part in parts))

    def _fold(self, whole: Part, batch_size: int, piece: int) -> Fold:
        in_pieces = self.in_pieces(whole)
        part, all_steps = in_pieces[piece], sum(steps(part, batch_size) for part in in_pieces)
        float_type, (batches, rows) = jnp.result_type(float), self.evaluation_shape
        padded = np.zeros(batches * rows, np.int32)
        padded[: len(part.validation)] = part.validation
        weights = (np.arange(batches * rows) < len(part.validation)).astype(float_type)
        stats = part.statistics
        return Fold(
            mean=np.asarray(stats.mean, float_type),
            scale=np.asarray(stats.scale, float_type),
            target_mean=np.asarray(stats.target_mean, float_type),
            target_scale=np.asarray(stats.target_scale, float_type),
            class_weights=np.asarray(stats.class_weights, float_type),
            steps=np.int32(steps(part, batch_size)),
            total_steps=np.int32(all_steps * self.epochs),
            rows=padded.reshape(batches, rows),
            weights=weights.reshape(batches, rows),
        )
