"""The data set as it comes to the device: whole and once, or piece by piece where the device does not hold all of it.

A piece is made of blocks of neighbouring rows, chosen at random once: a file is read in stretches, and one that is
sorted by class is mixed nevertheless. All lanes share the pieces, and a thread reads the next ones ahead.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tuner.data import Prepared
from tuner.lanes.memory import device_bytes
from tuner.training.lane import Data

BLOCK = 64  # neighbouring rows that stay together
HELD = 4  # pieces that are on the device, or on their way, at once
_SHARE = 0.5  # of a device's memory that the data may take


class Pieces:
    """The pieces of a data set.

    Args:
        prepared: the data.
        rows_at_once: rows of a piece, rounded down to blocks; None puts as many on the device as it has room for.
    """

    def __init__(self, prepared: Prepared, rows_at_once: int | None = None) -> None:
        self._prepared = prepared
        self._types = [_on_device(array) for array in (prepared.inputs, prepared.targets)]
        rows = len(prepared.inputs)
        most = rows_at_once or _rows_that_fit(prepared, self._types)
        self.rows: Sequence[np.ndarray] = [np.arange(rows)] if most >= rows else _mixed(rows, most)
        self._length = max(map(len, self.rows))
        self._piece_of, self._place_of = np.empty(rows, np.int32), np.empty(rows, np.int32)
        for piece, members in enumerate(self.rows):
            self._piece_of[members], self._place_of[members] = piece, np.arange(len(members))
        self._held: OrderedDict[int, Future[Data]] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shapes(self) -> Data:
        """Shapes and types of a piece on the device."""
        arrays = (self._prepared.inputs, self._prepared.targets)
        shapes = [(self._length, *array.shape[1:]) for array in arrays]
        return Data(*map(jax.ShapeDtypeStruct, shapes, self._types))

    def split(self, rows: np.ndarray) -> list[np.ndarray]:
        """Some rows, int32, by the pieces that they are in: their places there, in their order."""
        if len(self) == 1:
            return [rows]
        pieces, places = self._piece_of[rows], self._place_of[rows]
        return [places[pieces == piece] for piece in range(len(self))]

    def data(self, piece: int) -> Data:
        """A piece on the device; its last rows may be there to fill it up."""
        return self._asked(piece).result()

    def in_turn(self, pieces: Sequence[int]) -> Iterator[tuple[int, Data]]:
        """Pieces and their data, the next one read ahead."""
        for piece, following in zip(pieces, [*pieces[1:], None], strict=True):
            data = self.data(piece)
            if following is not None:
                self._asked(following)
            yield piece, data

    def _asked(self, piece: int) -> "Future[Data]":
        with self._lock:
            held = self._held.get(piece)
            if held is None or (held.done() and held.exception()):  # what failed is read again
                self._held[piece] = _READER.submit(self._read, piece)
            self._held.move_to_end(piece)
            while len(self._held) > HELD:
                self._held.popitem(last=False)
            return self._held[piece]

    def _read(self, piece: int) -> Data:
        rows = self.rows[piece]
        arrays = (self._prepared.inputs, self._prepared.targets)
        if len(self) == 1:
            found = [array.astype(kind, copy=False) for array, kind in zip(arrays, self._types, strict=True)]
        else:
            found = [_filled(array, rows, self._length, kind) for array, kind in zip(arrays, self._types, strict=True)]
        return Data(*map(jax.device_put, found))


_READER = ThreadPoolExecutor(1, thread_name_prefix="tuner-data")


def _on_device(array: np.ndarray) -> Any:
    return jnp.result_type(float) if array.dtype.kind == "f" else array.dtype


def _filled(array: np.ndarray, rows: np.ndarray, length: int, kind: Any) -> np.ndarray:
    piece = np.zeros((length, *array.shape[1:]), kind)
    piece[: len(rows)] = array[rows]
    return piece


def _rows_that_fit(prepared: Prepared, types: Sequence[Any]) -> int:
    """All rows where their bytes are few enough, else as many as leave room for all pieces that are held."""
    each = sum(
        array[:1].size * np.dtype(kind).itemsize
        for array, kind in zip((prepared.inputs, prepared.targets), types, strict=True)
    )
    room = int(device_bytes() * _SHARE) // each
    return room if room >= len(prepared.inputs) else max(room // HELD, 1)


def _mixed(rows: int, most: int) -> list[np.ndarray]:
    count, in_each = -(-rows // BLOCK), max(most // BLOCK, 1)
    blocks = np.array_split(np.random.default_rng(0).permutation(count), -(-count // in_each))
    found = [(np.sort(chosen)[:, None] * BLOCK + np.arange(BLOCK)).ravel() for chosen in blocks]
    return [members[members < rows] for members in found]
