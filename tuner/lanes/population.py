"""A population: the lanes that one program trains together, and which trial sits in which slot."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import numpy as np

from tuner.lanes.arrays import Arrays, Part, steps
from tuner.lanes.draws import Drawn
from tuner.lanes.layout import Layout
from tuner.lanes.orders import epoch_order
from tuner.lanes.placement import first_free
from tuner.lanes.program import Program
from tuner.lanes.snapshots import Snapshot, on_the_host
from tuner.lanes.uses import kernel_uses
from tuner.training.lane import Bounds, Data, Lane
from tuner.training.recipe import Recipe, Values, kernels_of


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


class _Feed(NamedTuple):
    """What lanes train on in a piece of the data.

    parts: of each fold. folds: with leading axis (lanes,), on the device. train: each lane's training rows and how many
    these are, None where the host draws their order. steps: of each fold. bounds: the loops'.
    """

    parts: Sequence[Part]
    folds: Any
    train: Any
    steps: np.ndarray
    bounds: Bounds


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
        self._chunks: dict[int, Lane] = {}
        self._feeds = [self._feed(piece) for piece in range(len(arrays.pieces))]
        self._data = None if len(self._feeds) > 1 else program.everywhere(arrays.pieces.data(0))

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

    def restore(self, trial: int, numbers: Mapping[str, float], words: np.ndarray, snapshot: Snapshot) -> None:
        """Go on with a trial in the first free place.

        Args:
            trial: its number.
            numbers: of its hyperparameters, by path.
            words: that its data orders are drawn from, uint32 (folds, 2).
            snapshot: with lanes.

        Raises:
            DoesNotFit: the lanes are none of this program.
        """
        seat = Seat(0, 0, numbers, words, *snapshot.weights, epoch=snapshot.epoch)
        self._place(trial, seat, self.program.lanes_from(snapshot.lanes))

    def snapshot(self, trial: int) -> Snapshot:
        """A trial as it is, on the host. It may not be training."""
        seat, layout = self.seats[trial], self.program.layout
        lanes = self._lanes(seat)
        return Snapshot(
            caps=self.program.recipe.signature.caps,
            trials=layout.trials,
            together=layout.together,
            devices=layout.devices,
            epoch=seat.epoch,
            weights=(seat.weights, seat.weights_in_use),
            lanes=on_the_host(jax.tree.map(lambda leaf: leaf[lanes], self._chunks[seat.chunk])),
        )

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
        state = self._chunks[chunk]
        if self._data is None:
            self._chunks[chunk], fetched = self._epoch_in_pieces(state, trials)
        else:
            self._chunks[chunk], fetched = self._epoch(state, self._data, trials)
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

    def _epoch(self, state: Lane, data: Data, trials: Sequence[int]) -> tuple[Lane, Any]:
        feed = self._feeds[0]
        state, results = self.program.advance(state, data, feed.folds, self._orders(trials, 0), feed.bounds)
        return state, jax.device_get(results)

    def _epoch_in_pieces(self, state: Lane, trials: Sequence[int]) -> tuple[Lane, Any]:
        """Train on each piece in turn, then evaluate on each, from the last one back: by the same program."""
        losses, sums, in_turn = [], [], range(len(self._feeds))
        for piece, data in self._arrays.pieces.in_turn(in_turn):
            feed = self._feeds[piece]
            bounds, orders = feed.bounds._replace(batches=np.int32(0)), self._orders(trials, piece)
            state, results = self.program.advance(state, self.program.everywhere(data), feed.folds, orders, bounds)
            losses.append(results["loss"])
        for piece, data in self._arrays.pieces.in_turn(in_turn[::-1]):
            feed = self._feeds[piece]
            bounds = feed.bounds._replace(fewest=np.int32(0), most=None if feed.bounds.most is None else np.int32(0))
            state, results = self.program.advance(state, self.program.everywhere(data), feed.folds, orders, bounds)
            sums.append(results["sums"])
        steps = np.stack([np.tile(feed.steps, self.program.layout.trials) for feed in self._feeds])
        return state, {"loss": _mean_loss(jax.device_get(losses), steps), "sums": _added(jax.device_get(sums))}

    def _feed(self, piece: int) -> "_Feed":
        layout, arrays = self.program.layout, self._arrays
        parts = [arrays.in_pieces(part)[piece] for part in self._parts]
        counts = [steps(part, layout.batch_size) for part in parts]
        most = np.int32(max(counts)) if layout.uneven else None
        batches = max(arrays.batches(part) for part in parts)
        return _Feed(
            parts=parts,
            folds=self.program.on_device(arrays.stacked(list(self._parts) * layout.trials, layout.batch_size, piece)),
            train=None if layout.rows is None else self.program.on_device(_training_rows(parts, layout)),
            steps=np.asarray(counts),
            bounds=Bounds(np.int32(min(counts)), most, np.int32(batches)),
        )

    def _orders(self, trials: Sequence[int], piece: int) -> Any:
        """The rows of each step of the trials' next epochs in a piece, int32 (lanes, steps, batch size), on the device.

        A piece's order is drawn as if each were an epoch of its own.
        """
        layout, feed, pieces = self.program.layout, self._feeds[piece], len(self._feeds)
        if feed.train is None:
            return self.program.on_device(self._orders_from_host(trials, piece))
        words, epochs = np.zeros((layout.lanes, 2), np.uint32), np.zeros(layout.lanes, np.int32)
        for seat in (self.seats[trial] for trial in trials):
            words[self._lanes(seat)], epochs[self._lanes(seat)] = seat.words, seat.epoch * pieces + piece
        return self.program.orders(words, epochs, *feed.train)

    def _orders_from_host(self, trials: Sequence[int], piece: int) -> np.ndarray:
        layout, feed, pieces = self.program.layout, self._feeds[piece], len(self._feeds)
        orders = np.zeros((layout.trials, layout.folds, layout.steps, layout.batch_size), np.int32)
        for seat in (self.seats[trial] for trial in trials):
            for fold, (part, words, count) in enumerate(zip(feed.parts, seat.words, feed.steps, strict=True)):
                order = epoch_order(words, seat.epoch * pieces + piece, part.train, count, layout.batch_size)
                orders[seat.place, fold, :count] = order
        return orders.reshape(layout.lanes, layout.steps, layout.batch_size)


def _training_rows(parts: Sequence[Part], layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Each lane's training rows, int32 (lanes, most), and how many these are."""
    rows = np.stack([np.resize(part.train, layout.rows or 0) for part in parts]).astype(np.int32)
    counts = np.asarray([len(part.train) for part in parts], np.int32)
    return np.tile(rows, (layout.trials, 1)), np.tile(counts, layout.trials)


def _mean_loss(losses: Sequence[np.ndarray], steps: np.ndarray) -> np.ndarray:
    """The mean of an epoch's batches from those of its pieces, where a piece without a step has none.

    Args:
        losses: of each piece, (lanes,).
        steps: (pieces, lanes).
    """
    return np.where(steps > 0, np.stack(losses) * steps, 0).sum(0) / steps.sum(0)


def _added(sums: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *parts: np.sum(np.stack(parts), 0), *sums)


def _weights(recipe: Recipe, parameters: Any) -> tuple[float, float]:
    """Multiply-adds of an example with all kernels, and with what is not masked: that is drawn as zeros, else never."""
    kernels = kernels_of(parameters, lanes_axes=1)
    in_use = [int(np.count_nonzero(kernel)) or kernel.size for kernel in kernels]
    uses = kernel_uses(recipe)
    return (
        sum(use * kernel.size for use, kernel in zip(uses, kernels, strict=True)),
        sum(use * count for use, count in zip(uses, in_use, strict=True)),
    )
