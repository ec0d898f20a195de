"""The layout of a program: the shapes that it has beside its recipe's."""

from dataclasses import dataclass, replace
from math import gcd

import jax.numpy as jnp
import numpy as np

from tuner.lanes.arrays import Arrays


@dataclass(frozen=True)
class Layout:
    """The shapes of a program beside its recipe's.

    trials: side by side in a chunk. folds: lanes a trial. together: lanes that one vmap holds; where a device has more,
    they follow one after the other. devices: that share a chunk's lanes evenly. steps: of the longest epoch. rows:
    whose order the program draws, None where the host does. evaluation: (batches, rows a batch). uneven: whether folds
    take different numbers of steps. data: shapes and types of the data set. mean_shape: of the inputs' statistics.
    target_shape: of the targets'. classes: that have weights. float_type: the default float's name.
    """

    trials: int
    folds: int
    together: int
    devices: int
    steps: int
    batch_size: int
    rows: int | None
    evaluation: tuple[int, int]
    uneven: bool
    data: tuple[tuple[tuple[int, ...], str], ...]
    mean_shape: tuple[int, ...]
    target_shape: tuple[int, ...]
    classes: int
    float_type: str

    @property
    def lanes(self) -> int:
        """Lanes of a chunk."""
        return self.trials * self.folds

    def resized(self, trials: int) -> "Layout":
        """The layout with so many trials in a chunk, all their lanes together."""
        return replace(self, trials=trials, together=trials * self.folds // self.devices)

    def halved(self) -> "Layout | None":
        """The layout that needs about half the memory: half the trials, or half the lanes at a time; None at one."""
        if self.trials // 2 * self.folds % self.devices == 0 and self.trials > 1:
            trials = self.trials // 2
            return replace(self, trials=trials, together=min(self.together, trials * self.folds // self.devices))
        return replace(self, together=self.together // 2) if self.together > 1 else None

    def holding(self, trials: int) -> "Layout":
        """The smallest layout with room for so many trials that halving the trials of this one leads to."""
        half = self.halved()
        return half.holding(trials) if half is not None and trials <= half.trials < self.trials else self


def layout_of(arrays: Arrays, batch_size: int, trials: int, *, together: int | None = None, devices: int = 1) -> Layout:
    """The layout of a program for this data and batch size.

    Args:
        arrays: the data and its folds.
        batch_size: rows a step.
        trials: in a chunk.
        together: lanes in one vmap; all of a device's by default.
        devices: over which the lanes are spread; they divide ``trials * folds``.
    """
    most, statistics = trials * len(arrays.folds) // devices, arrays.folds[0].statistics
    return Layout(
        trials=trials,
        folds=len(arrays.folds),
        together=min(together or most, most),
        devices=devices,
        steps=arrays.most_steps(batch_size),
        batch_size=batch_size,
        rows=arrays.rows_to_order,
        evaluation=arrays.evaluation_shape,
        uneven=arrays.uneven(batch_size),
        data=tuple((leaf.shape, str(leaf.dtype)) for leaf in arrays.pieces.shapes),
        mean_shape=np.shape(statistics.mean),
        target_shape=arrays.target_shape,
        classes=len(statistics.class_weights),
        float_type=str(jnp.result_type(float)),
    )


def evenly_spread(trials: int, folds: int, devices: int) -> int:
    """The trials of a chunk, rounded up so that their lanes spread evenly over the devices."""
    step = devices // gcd(folds, devices)
    return -(-trials // step) * step
