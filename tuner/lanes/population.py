"""A population: the lanes that one program trains together, and which trial sits in which slot."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import numpy as np

from tuner.lanes.arrays import Arrays, Part
from tuner.lanes.draws import Drawn
from tuner.lanes.orders import epoch_order
from tuner.lanes.placement import first_free
from tuner.lanes.program import Program
from tuner.lanes.uses import kernel_uses
from tuner.training.lane import Bounds, Lane, Recipe, Values, kernels_of


@dataclass
class Seat:
    """Where a trial's lanes are, its numbers, its orders' words, an example's multiply-adds, in use too, epochs."""

    chunk: int
    place: int
    numbers: Mapping[str, float]
    words: np.ndarray
    weights: float
    weights_in_use: float
    epoch: int = 0


class Advanced(NamedTuple):
    """What an epoch of a chunk gave: its results on the host, leading axis (lanes,), and the seconds it took."""

    results: Any
    seconds: float


class Population:
    """Trials that share a program, in as many chunks as they need.

    Args:
        program: what trains them.
        arrays: the data.
        parts: what each lane of a trial trains on, one a fold.
    """

    def __init__(self, program: Program, arrays: Arrays, parts: Sequence[Part]) -> None:
        self.program = program
        self.seats: dict[int, Seat] = {}
        self.seconds = 0.0  # of a chunk's last epoch
        self._arrays, self._parts = arrays, parts
        layout = program.layout
        self._chunks: dict[int, Lane] = {}
        self._folds = program.on_device(arrays.stacked(list(parts) * layout.trials, layout.batch_size))
        self._train = None if layout.rows is None else program.on_device(self._training_rows(layout.rows))
        self._data = arrays.data if layout.devices == 1 else program.everywhere(arrays.data)
        self._bounds = self._loop_bounds()

    @property
    def chunks(self) -> list[int]:
        """The chunks that hold a trial."""
        return list(self._chunks)

    def trials_of(self, chunk: int) -> list[int]:
        """The trials in a chunk."""
        return [trial for trial, seat in self.seats.items() if seat.chunk == chunk]

    def insert(self, trial: int, drawn: Drawn) -> None:
        """Start a trial in the first free place."""
        seat = Seat(0, 0, drawn.numbers, drawn.words, *_weights(self.program.recipe, drawn.values.parameters))
        self._place(trial, seat, self.program.first_lanes(drawn.values, drawn.numbers, drawn.batch_words))

    def moved_to(self, program: Program) -> "Population":
        """These trials, as far as they are, in another program of the same recipe. This population ends."""
        other = Population(program, self._arrays, self._parts)
        for trial, seat in self.seats.items():
            lanes = self._lanes(seat)
            other._place(trial, seat, jax.tree.map(lambda leaf, lanes=lanes: leaf[lanes], self._chunks[seat.chunk]))
        return other

    def remove(self, trial: int) -> None:
        """Free a trial's lanes, and its chunk if that is empty."""
        chunk = self.seats.pop(trial).chunk
        if not self.trials_of(chunk):
            del self._chunks[chunk]

    def advance(self, chunk: int, trials: Sequence[int]) -> Advanced:
        """Train every trial of a chunk one epoch and fetch its results.

        Chunks may be advanced in different threads, while trials enter and leave other chunks.
        """
        began = time.perf_counter()
        state, orders = self._chunks[chunk], self._orders(trials)
        self._chunks[chunk], results = self.program.advance(state, self._data, self._folds, orders, self._bounds)
        fetched = jax.device_get(results)
        for trial in trials:
            self.seats[trial].epoch += 1
        return Advanced(fetched, time.perf_counter() - began)

    def values_of(self, trial: int) -> Values:
        """A trial's model values, leading axis (folds,)."""
        seat = self.seats[trial]
        lanes = self._lanes(seat)
        values: Values = jax.tree.map(lambda leaf: leaf[lanes], self._chunks[seat.chunk].values)
        return values

    def results_of(self, trial: int, results: Any) -> Any:
        """A trial's part of its chunk's results, leading axis (folds,)."""
        lanes = self._lanes(self.seats[trial])
        return jax.tree.map(lambda leaf: leaf[lanes], results)

    def _place(self, trial: int, seat: Seat, lanes: Lane) -> None:
        """Put lanes into the first free place."""
        taken = {(other.chunk, other.place) for other in self.seats.values()}
        chunk, place = first_free(taken, self.program.layout.trials)
        state = self._chunks[chunk] if chunk in self._chunks else self.program.empty()
        self._chunks[chunk] = self.program.insert(state, place, lanes)
        self.seats[trial] = replace(seat, chunk=chunk, place=place)

    def _lanes(self, seat: Seat) -> slice:
        folds = self.program.layout.folds
        return slice(seat.place * folds, (seat.place + 1) * folds)

    def _orders(self, trials: Sequence[int]) -> Any:
        """The rows of each step of the trials' next epochs, int32 (lanes, steps, batch size), on the device."""
        if self._train is None:
            return self.program.on_device(self._orders_from_host(trials))
        layout = self.program.layout
        words, epochs = np.zeros((layout.lanes, 2), np.uint32), np.zeros(layout.lanes, np.int32)
        for seat in (self.seats[trial] for trial in trials):
            words[self._lanes(seat)], epochs[self._lanes(seat)] = seat.words, seat.epoch
        return self.program.orders(words, epochs, *self._train)

    def _training_rows(self, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Each lane's training rows, int32 (lanes, most), and how many these are."""
        trials = self.program.layout.trials
        rows = np.stack([np.resize(part.train, most) for part in self._parts]).astype(np.int32)
        counts = np.asarray([len(part.train) for part in self._parts], np.int32)
        return np.tile(rows, (trials, 1)), np.tile(counts, trials)

    def _orders_from_host(self, trials: Sequence[int]) -> np.ndarray:
        layout = self.program.layout
        orders = np.zeros((layout.trials, layout.folds, layout.steps, layout.batch_size), np.int32)
        for seat in (self.seats[trial] for trial in trials):
            for fold, (part, words) in enumerate(zip(self._parts, seat.words, strict=True)):
                steps = self._arrays.steps(part, layout.batch_size)
                order = epoch_order(words, seat.epoch, part.train, steps, layout.batch_size)
                orders[seat.place, fold, :steps] = order
        return orders.reshape(layout.lanes, layout.steps, layout.batch_size)

    def _loop_bounds(self) -> Bounds:
        batch_size = self.program.layout.batch_size
        steps = [self._arrays.steps(part, batch_size) for part in self._parts]
        batches = max(self._arrays.batches(part) for part in self._parts)
        most = np.int32(max(steps)) if self.program.layout.uneven else None
        return Bounds(np.int32(min(steps)), most, np.int32(batches))


def _weights(recipe: Recipe, parameters: Any) -> tuple[float, float]:
    """Multiply-adds of an example with all kernels, and with what is not masked: that is drawn as zeros, else never."""
    kernels = kernels_of(parameters, lanes_axes=1)
    in_use = [int(np.count_nonzero(kernel)) or kernel.size for kernel in kernels]
    uses = kernel_uses(recipe)
    return (
        sum(use * kernel.size for use, kernel in zip(uses, kernels, strict=True)),
        sum(use * count for use, count in zip(uses, in_use, strict=True)),
    )
