"""Trials that have no lanes yet: foreseen, taken on, or placed in a program that may still be compiling."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import NamedTuple

from tuner.hyperparameters import Split
from tuner.lanes.draws import Drawn
from tuner.lanes.homes import Home, Homes
from tuner.lanes.placement import Asked
from tuner.lanes.program import Program
from tuner.lanes.snapshots import Snapshot

Draw = Callable[[Home, Mapping[str, float], int], Drawn]


class Taken(NamedTuple):
    """A trial that is taken on and has no home yet."""

    parts: Split
    asked: Asked


class Placed(NamedTuple):
    """A trial that has a home and no lanes yet, and its program; ``snapshot`` where it goes on with lanes it had."""

    parts: Split
    asked: Asked
    home: Home
    program: Future[Program]
    snapshot: Snapshot | None = None


class Waiting:
    """The trials of an engine that have no lanes yet, in the order in which they came.

    Args:
        homes: where they are placed.
        draw: what a trial starts with.

    Attributes:
        placed: those that have a home, by number.
        failed: those that cannot be trained, with the exception. Whoever looks takes them out.
    """

    def __init__(self, homes: Homes, draw: Draw) -> None:
        self.placed: dict[int, Placed] = {}
        self.failed: dict[int, Exception] = {}
        self._homes, self._draw = homes, draw
        self._foreseen: dict[int, Asked] = {}
        self._taken: dict[int, Taken] = {}
        self._drawn: dict[int, Drawn] = {}

    @property
    def foreseen(self) -> list[int]:
        """The numbers of trials that are reckoned with."""
        return list(self._foreseen)

    def foresee(self, trial: int, parts: Split) -> None:
        """Reckon with a trial that will be added later."""
        self._foreseen[trial] = self._homes.asked(parts)

    def add(self, trial: int, parts: Split) -> None:
        """Take a trial on."""
        self._taken[trial] = Taken(parts, self._homes.asked(parts))
        self._foreseen.pop(trial, None)

    def resume(self, trial: int, parts: Split, snapshot: Snapshot) -> None:
        """Take a trial on where it was.

        Raises:
            DoesNotFit: there is no such program.
        """
        asked = self._homes.asked(parts)
        home, program = self._homes.reopen(asked, parts, snapshot)
        self.placed[trial] = Placed(parts, asked, home, program, snapshot if snapshot.lanes else None)
        self._foreseen.pop(trial, None)

    def place(self) -> None:
        """Find a home for every trial that was taken on, and have its program compiled in the background."""
        for trial, taken in list(self._taken.items()):
            del self._taken[trial]
            with self.failing(trial):
                self.placed[trial] = self._placed(taken)

    def draw_ahead(self) -> None:
        """Draw what the placed trials start with, as far as that was not done."""
        for trial, placed in list(self.placed.items()):
            if trial in self._drawn or placed.snapshot is not None:
                continue
            with self.failing(trial):
                self._drawn[trial] = self._draw(placed.home, placed.parts.numbers, trial)

    def drawn(self, trial: int) -> Drawn:
        """What a placed trial starts with."""
        placed = self.placed[trial]
        return self._drawn.pop(trial, None) or self._draw(placed.home, placed.parts.numbers, trial)

    @contextmanager
    def failing(self, trial: int) -> Iterator[None]:
        """A user's model may raise anything while it is traced or built; that trial alone fails."""
        try:
            yield
        except Exception as error:  # noqa: BLE001
            self.remove(trial)
            self.failed[trial] = error

    def remove(self, trial: int) -> None:
        """Forget a trial."""
        for held in (self._taken, self.placed, self._drawn):
            held.pop(trial, None)

    def clear(self) -> None:
        """Forget all, and let go of programs that nobody waits for any more."""
        for placed in self.placed.values():
            placed.program.cancel()
        for held in (self._foreseen, self._taken, self.placed, self._drawn, self.failed):
            held.clear()

    def _placed(self, taken: Taken) -> Placed:
        parts, asked = taken
        waiting = [other.asked for known in (self.placed, self._taken) for other in known.values()]
        home = self._homes.place(asked, parts, [*waiting, *self._foreseen.values()])
        return Placed(parts, asked, home, self._homes.request(home))
