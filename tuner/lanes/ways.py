"""The way over the lanes: trials of a chunk and lanes of a vmap, found by a short measurement on the device at hand."""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from typing import NamedTuple

from tuner.lanes.arrays import Arrays
from tuner.lanes.costs import Family
from tuner.lanes.draws import Drawn
from tuner.lanes.layout import Layout, evenly_spread
from tuner.lanes.population import Population
from tuner.lanes.program import Program
from tuner.training.recipe import Recipe

_PATIENCE = 40  # measure once a family has trained as many times what compiling and measuring the other ways costs
_EPOCHS = 3  # of each way, after one to warm up; the fastest counts
_GAIN = 0.9  # of the present way's seconds that another may take at most: a new way is a new compile

log = logging.getLogger("tuner")


class Way(NamedTuple):
    """How a program goes over its lanes: trials side by side in a chunk, and lanes that one vmap holds."""

    trials: int
    together: int


@dataclass
class _Weighing:
    """Programs of one home that differ in their way, being compiled and then measured; the present one comes first.

    busy: the most trials that one of the family's programs trained at once.
    """

    family: Family
    programs: Sequence[Future[Program]]
    drawn: Drawn
    busy: int
    best: Future[Way] | None = None


class Ways:
    """Weighs the ways of each family once, when it has trained for long enough to be worth it.

    Args:
        arrays: data and folds.
        request: compiles a recipe in a layout, in the background.
        pool: the threads that train.
        compile_seconds: of a program, at least; one that came from the cache took less than another way will.
        fixed: whether the trials of a chunk are not to be chosen.
    """

    def __init__(
        self,
        arrays: Arrays,
        request: Callable[[Recipe, Layout], Future[Program]],
        pool: Executor,
        compile_seconds: float,
        *,
        fixed: bool,
    ) -> None:
        self._arrays, self._request, self._pool = arrays, request, pool
        self._compile_seconds, self._fixed = compile_seconds, fixed
        self._spent: defaultdict[Family, float] = defaultdict(float)
        self._busy: defaultdict[Family, int] = defaultdict(int)
        self._weighings: dict[Family, _Weighing | None] = {}

    def trained(self, family: Family, program: Program, seconds: float, busy: int, drawn: Callable[[], Drawn]) -> None:
        """A chunk of the family trained for so long, of a population of ``busy`` trials; ``drawn`` makes another."""
        self._spent[family] += seconds
        self._busy[family] = busy = max(busy, self._busy[family])
        others = other_ways(program.layout, None if self._fixed else busy)
        compile_seconds = max(program.seconds, self._compile_seconds)
        cost = len(others) * compile_seconds + (1 + len(others)) * (1 + _EPOCHS) * seconds
        if family in self._weighings or self._spent[family] < _PATIENCE * cost:
            return
        present: Future[Program] = Future()
        present.set_result(program)
        programs = [present, *(self._request(program.recipe, layout) for layout in others)]
        self._weighings[family] = _Weighing(family, programs, drawn(), busy) if others else None

    def skip(self, family: Family) -> None:
        """The family's way is known already."""
        self._weighings.setdefault(family, None)

    def found(self) -> dict[Family, Way]:
        """The families whose ways have been measured since the last call, and the fastest."""
        found: dict[Family, Way] = {}
        for weighing in [weighing for weighing in self._weighings.values() if weighing is not None]:
            if weighing.best is None and all(future.done() for future in weighing.programs):
                weighing.best = self._pool.submit(
                    fastest, weighing.programs, self._arrays, weighing.drawn, weighing.busy
                )
            if weighing.best is not None and weighing.best.done():
                self._weighings[weighing.family] = None
                if error := weighing.best.exception():  # it ran out of memory, say: the present way works
                    log.debug("the ways over the lanes could not be compared: %s", error)
                else:
                    found[weighing.family] = weighing.best.result()
        return found


def other_ways(layout: Layout, busy: int | None = None) -> list[Layout]:
    """The layouts worth comparing with this one.

    They have all lanes together, those of a trial, and one after the other; where the number of ``busy`` trials is
    given, also smaller chunks: of so many, of half of them, and of one, each with its lanes together.
    """
    most = layout.lanes // layout.devices
    sizes = {size for size in (1, layout.folds, most) if size <= most} - {layout.together}
    others = [replace(layout, together=size) for size in sorted(sizes)]
    counts = (
        {evenly_spread(count, layout.folds, layout.devices) for count in (1, -(-busy // 2), busy)} if busy else set()
    )
    return others + [layout.resized(count) for count in sorted(counts) if count < layout.trials]


def fastest(programs: Sequence[Future[Program]], arrays: Arrays, drawn: Drawn, busy: int) -> Way:
    """The way of the program that trains ``busy`` trials fastest; the first unless another gains clearly.

    A full chunk is measured, as often as so many trials need one: an idle place takes as long as a busy one.
    """
    populations = [_full(future.result(), arrays, drawn) for future in programs]
    turns = [
        [population.advance(0, list(population.seats)).seconds for population in populations]
        for _ in range(1 + _EPOCHS)
    ]
    layouts = [population.program.layout for population in populations]
    chunks = [-(-busy // layout.trials) for layout in layouts]
    seconds = [min(times[1:]) * count for times, count in zip(zip(*turns, strict=True), chunks, strict=True)]
    best = layouts[seconds.index(min(seconds)) if min(seconds) < _GAIN * seconds[0] else 0]
    return Way(best.trials, best.together)


def _full(program: Program, arrays: Arrays, drawn: Drawn) -> Population:
    population = Population(program, arrays, arrays.folds)
    for trial in range(program.layout.trials):
        population.insert(trial, drawn)
    return population
