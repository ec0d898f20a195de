"""Epochs under way: a few threads advance chunks, and whoever started them collects what landed.

On a CPU each thread trains one chunk alone on its core; on an accelerator the threads only keep its queue filled.
"""

import os
from collections.abc import Iterable
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from tuner.lanes.population import Advanced, Population

THREADS = max(2, os.cpu_count() or 1)
WORKERS = ThreadPoolExecutor(THREADS, thread_name_prefix="tuner-train")


class Flight(NamedTuple):
    """An epoch of a chunk that is under way."""

    population: Population
    chunk: int
    trials: list[int]
    advanced: Future[Advanced]


class Flights:
    """The epochs that were started and not collected.

    Args:
        lockstep: whether all have to end before any is collected.
    """

    def __init__(self, *, lockstep: bool) -> None:
        self._lockstep = lockstep
        self._flights: list[Flight] = []

    def __bool__(self) -> bool:
        return bool(self._flights)

    def start(self, populations: Iterable[Population]) -> None:
        """Start an epoch of every chunk that does not train; the longest first, so that the threads end together."""
        flying = {(id(flight.population), flight.chunk) for flight in self._flights}
        chunks = [(population, chunk) for population in populations for chunk in population.chunks]
        for population, chunk in sorted(chunks, key=lambda pair: -pair[0].seconds):
            if (id(population), chunk) not in flying:
                trials = population.trials_of(chunk)
                self._flights.append(
                    Flight(population, chunk, trials, WORKERS.submit(population.advance, chunk, trials))
                )

    @property
    def trials(self) -> set[int]:
        """The trials that are in them."""
        return {trial for flight in self._flights for trial in flight.trials}

    @property
    def have_landed(self) -> bool:
        """Whether there is something to collect without waiting: all of them in lockstep, else any."""
        landed = [flight.advanced.done() for flight in self._flights]
        return bool(landed) and (all if self._lockstep else any)(landed)

    def collect(self) -> list[Flight]:
        """Wait, in lockstep for all of them, else until the first has ended, and take out those that have."""
        until = ALL_COMPLETED if self._lockstep else FIRST_COMPLETED
        wait([flight.advanced for flight in self._flights], return_when=until)
        landed = [flight for flight in self._flights if flight.advanced.done()]
        self._flights = [flight for flight in self._flights if flight not in landed]
        return landed

    def settle(self) -> None:
        """Wait for all of them, and forget what they gave."""
        wait([flight.advanced for flight in self._flights])
        self._flights.clear()
