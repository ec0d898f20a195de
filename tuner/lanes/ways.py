"""The way over the lanes: how many one vmap holds, found by a short measurement on the device at hand."""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace

from tuner.lanes.arrays import Arrays
from tuner.lanes.costs import COMPILE, Family
from tuner.lanes.draws import Drawn
from tuner.lanes.layout import Layout
from tuner.lanes.population import Population
from tuner.lanes.program import Program
from tuner.training.lane import Recipe

_PATIENCE = 20  # measure once a family has trained as many times what compiling the other ways costs
_EPOCHS = 3  # of each way, after one to warm up; the fastest counts
_GAIN = 0.9  # of the present way's seconds that another may take at most: a new way is a new compile

log = logging.getLogger("tuner")


@dataclass
class _Weighing:
    """Programs of one home that differ in their way, being compiled and then measured; the present one comes first."""

    family: Family
    programs: Sequence[Future[Program]]
    drawn: Drawn
    best: Future[int] | None = None


class Ways:
    """Weighs the ways of each family once, when it has trained for long enough to be worth it.

    Args:
        arrays: data and folds.
        request: compiles a recipe in a layout, in the background.
        pool: the threads that train.
    """

    def __init__(self, arrays: Arrays, request: Callable[[Recipe, Layout], Future[Program]], pool: Executor) -> None:
        self._arrays, self._request, self._pool = arrays, request, pool
        self._spent: defaultdict[Family, float] = defaultdict(float)
        self._weighings: dict[Family, _Weighing | None] = {}

    def trained(self, family: Family, program: Program, seconds: float, drawn: Callable[[], Drawn]) -> None:
        """A chunk of the family trained for so long; ``drawn`` makes a trial to measure with."""
        self._spent[family] += seconds
        others = other_ways(program.layout)
        compile_seconds = max(program.seconds, COMPILE)  # a program from the cache took less than the others will
        if family in self._weighings or self._spent[family] < _PATIENCE * compile_seconds * len(others):
            return
        present: Future[Program] = Future()
        present.set_result(program)
        programs = [present, *(self._request(program.recipe, layout) for layout in others)]
        self._weighings[family] = _Weighing(family, programs, drawn()) if others else None

    def skip(self, family: Family) -> None:
        """The family's way is known already."""
        self._weighings.setdefault(family, None)

    def found(self) -> dict[Family, int]:
        """The families whose ways have been measured since the last call: lanes together."""
        found: dict[Family, int] = {}
        for weighing in [weighing for weighing in self._weighings.values() if weighing is not None]:
            if weighing.best is None and all(future.done() for future in weighing.programs):
                weighing.best = self._pool.submit(fastest, weighing.programs, self._arrays, weighing.drawn)
            if weighing.best is not None and weighing.best.done():
                self._weighings[weighing.family] = None
                if error := weighing.best.exception():  # it ran out of memory, say: the present way works
                    log.debug("the ways over the lanes could not be compared: %s", error)
                else:
                    found[weighing.family] = weighing.best.result()
        return found


def other_ways(layout: Layout) -> list[Layout]:
    """The layouts worth comparing with this one: all lanes together, those of a trial, one after the other."""
    most = layout.lanes // layout.devices
    sizes = {size for size in (1, layout.folds, most) if size <= most} - {layout.together}
    return [replace(layout, together=size) for size in sorted(sizes)]


def fastest(programs: Sequence[Future[Program]], arrays: Arrays, drawn: Drawn) -> int:
    """The lanes together of the program that trains a full chunk fastest; the first unless another gains clearly."""
    populations = [_full(future.result(), arrays, drawn) for future in programs]
    turns = [
        [population.advance(0, list(population.seats)).seconds for population in populations]
        for _ in range(1 + _EPOCHS)
    ]
    seconds = [min(times[1:]) for times in zip(*turns, strict=True)]
    best = seconds.index(min(seconds))
    return populations[best if seconds[best] < _GAIN * seconds[0] else 0].program.layout.together


def _full(program: Program, arrays: Arrays, drawn: Drawn) -> Population:
    population = Population(program, arrays, arrays.folds)
    for trial in range(program.layout.trials):
        population.insert(trial, drawn)
    return population
