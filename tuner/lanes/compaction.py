"""The last trials of a study move from a chunk with idle places into a smaller program, once that pays."""

import logging
from collections.abc import Mapping
from concurrent.futures import Future

from tuner.lanes.arrays import Arrays
from tuner.lanes.homes import Home, Homes
from tuner.lanes.population import Population
from tuner.lanes.program import Program

log = logging.getLogger("tuner")


class Compaction:
    """Has smaller programs compiled while the larger ones train on, and moves trials when they are there.

    Args:
        homes: where programs come from.
        arrays: data and folds.
    """

    def __init__(self, homes: Homes, arrays: Arrays) -> None:
        self._homes, self._arrays = homes, arrays
        self._requested: dict[Home, Future[Program] | None] = {}  # None: that failed once

    def moved(self, populations: Mapping[Home, Population]) -> dict[Home, Population]:
        """The populations that go on in a smaller program from now on. None of them may be training."""
        moved: dict[Home, Population] = {}
        for home, population in populations.items():
            if home not in self._requested and self._pays(home, population):
                smaller = population.program.layout.holding(len(population.seats))
                self._requested[home] = self._homes.request_smaller(home, smaller)
            requested = self._requested.get(home)
            if requested is not None and requested.done():
                moved |= self._move(home, population, requested)
        return moved

    def _pays(self, home: Home, population: Population) -> bool:
        """Whether the epochs left get shorter by more than a compile, if idle places cost what busy ones do."""
        layout, seats = population.program.layout, population.seats.values()
        left = max(self._arrays.epochs - seat.epoch for seat in seats)
        idle = 1 - layout.holding(len(seats)).trials / layout.trials
        return len(population.chunks) == 1 and population.seconds * left * idle > self._homes.opening_seconds(home)

    def _move(self, home: Home, population: Population, requested: Future[Program]) -> dict[Home, Population]:
        """The population in the program that was requested; nothing where that fails, since the present one works."""
        try:
            smaller = population.moved_to(requested.result())
        except Exception as error:  # noqa: BLE001  it may not compile, or not fit beside the present one
            log.debug("the last trials stay in the larger program: %s", error)
            self._requested[home] = None
            return {}
        del self._requested[home]
        return {home: smaller}
