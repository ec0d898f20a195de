"""The engine: trials go in, an epoch's results of every trial come out. It alone decides which program trains what."""

import os
from collections.abc import Mapping
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from math import gcd
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from tuner.errors import InputError
from tuner.hyperparameters import Split, split
from tuner.lanes.arrays import Arrays
from tuner.lanes.cache import use_persistent_cache
from tuner.lanes.draws import Drawn, draw
from tuner.lanes.homes import Home, Homes
from tuner.lanes.memory import OutOfMemoryError, is_out_of_memory
from tuner.lanes.placement import Asked
from tuner.lanes.population import Advanced, Population, Seat
from tuner.lanes.program import Program
from tuner.lanes.store import PROGRAMS, ProgramStore
from tuner.lanes.usage import Usage
from tuner.training.lane import Model
from tuner.training.settings import FLOATS
from tuner.training.tasks import task_of

Wait = Literal["all", "first", "none"]

_THREADS = max(2, os.cpu_count() or 1)
_WORKERS = ThreadPoolExecutor(_THREADS, thread_name_prefix="tuner-train")


@dataclass(frozen=True, eq=False)
class EpochResult:
    """One epoch of one trial: its number from 1, the training loss and each metric over the folds, shape (folds,)."""

    epoch: int
    train_loss: np.ndarray
    metrics: Mapping[str, np.ndarray]


class Taken(NamedTuple):
    """A trial that is taken on and has no home yet."""

    parts: Split
    asked: Asked


class Placed(NamedTuple):
    """A trial that has a home and no lanes yet: what it starts with, and its program."""

    asked: Asked
    home: Home
    drawn: Drawn
    program: Future[Program]


class Seated(NamedTuple):
    """A trial that has lanes."""

    asked: Asked
    home: Home
    population: Population


class Flight(NamedTuple):
    """An epoch of a chunk that is under way."""

    population: Population
    chunk: int
    trials: list[int]
    advanced: Future[Advanced]


class Engine:
    """Trains trials, all their folds as lanes of compiled programs.

    On a CPU the chunks of a round are advanced by a thread a core, each alone on its core; on an accelerator the
    threads only keep its queue filled.

    Args:
        model: builds a module from hyperparameters.
        arrays: data and folds.
        slots: trials at once at most.
        chunk: trials that one call of a program trains; by default one on a CPU, all on an accelerator.
        seed: the study's.
        static: paths of floats that this experiment's model needs as constants.
        store: where programs are kept.
        budget: epochs that a trial is expected to train; all by default.
        lockstep: whether all trials end an epoch before any begins the next; chunks of several trials always do.
        deterministic: decide nothing by measurement.
        devices: over which lanes are spread; all local ones by default.
    """

    def __init__(
        self,
        model: Model,
        arrays: Arrays,
        *,
        slots: int,
        chunk: int | None = None,
        seed: int,
        static: frozenset[str] = frozenset(),
        store: ProgramStore = PROGRAMS,
        budget: float | None = None,
        lockstep: bool = True,
        deterministic: bool = False,
        devices: int | None = None,
    ) -> None:
        use_persistent_cache()
        self._arrays, self._slots, self._seed, self._static = arrays, slots, seed, static
        devices = devices or jax.local_device_count()
        on_cpu = jax.default_backend() == "cpu"
        trials = _evenly(chunk or (1 if on_cpu else slots), len(arrays.folds), devices)
        self._lockstep = lockstep or trials > 1
        self.usage = Usage()
        self._homes = Homes(
            model,
            arrays,
            store,
            self.usage,
            trials=trials,
            devices=devices,
            budget=budget or arrays.epochs,
            deterministic=deterministic,
            pool=_WORKERS,
        )
        self._foreseen: dict[int, Asked] = {}
        self._taken: dict[int, Taken] = {}
        self._placed: dict[int, Placed] = {}
        self._seated: dict[int, Seated] = {}
        self._failed: dict[int, Exception] = {}
        self._open: dict[Home, Population] = {}
        self._flights: list[Flight] = []

    def foresee(self, trials: Mapping[int, Mapping[str, Any]]) -> None:
        """Reckon with trials that will be added later, by number: their homes are chosen together."""
        for trial, hyperparameters in trials.items():
            with suppress(InputError):  # it will be refused when it comes
                parts = split(hyperparameters, floats=FLOATS, static=self._static)
                self._foreseen[trial] = self._homes.asked(parts)

    def add(self, trial: int, hyperparameters: Mapping[str, Any]) -> None:
        """Take a trial on."""
        parts = split(hyperparameters, floats=FLOATS, static=self._static)
        self._taken[trial] = Taken(parts, self._homes.asked(parts))
        self._foreseen.pop(trial, None)

    def place(self) -> None:
        """Find a home for every trial that was taken on, and have its program compiled in the background."""
        while self._taken:
            trial, (parts, asked) = next(iter(self._taken.items()))
            del self._taken[trial]
            waiting = [other.asked for known in (self._placed, self._taken) for other in known.values()]
            waiting += self._foreseen.values()
            try:
                home = self._homes.place(asked, parts, waiting)
                program = self._homes.request(home)
                self._placed[trial] = Placed(asked, home, self._draw(home, parts.numbers, trial), program)
            except Exception as error:  # noqa: BLE001  a user's model may raise anything; that trial alone fails
                self._failed[trial] = error

    def seat(self, until: Wait = "all") -> dict[int, Exception]:
        """Give trials that were taken on their lanes, in the order in which they came, as long as there are slots.

        Args:
            until: wait for the programs of ``all`` trials, for the ``first`` that any of them needs, or for ``none``.

        Returns:
            The trials whose model raised while it was traced or built, or had no memory, with the exception.
        """
        self._homes.adopt_ways()
        self.place()
        if until == "first":
            wait([placed.program for placed in self._placed.values()], return_when=FIRST_COMPLETED)
        for trial, placed in list(self._placed.items()):
            if len(self._seated) >= self._slots:
                break
            if until == "all" or placed.program.done():
                try:
                    self._seat(trial, placed)
                except Exception as error:  # noqa: BLE001  as above
                    del self._placed[trial]
                    self._failed[trial] = error
        failed, self._failed = self._failed, {}
        return failed

    @property
    def seated(self) -> set[int]:
        """Trials that have lanes."""
        return set(self._seated)

    def dispatch(self) -> None:
        """Start an epoch of every chunk that does not train; the longest first, so that the threads end together."""
        flying = {(id(flight.population), flight.chunk) for flight in self._flights}
        chunks = [(population, chunk) for population in self._populations() for chunk in population.chunks]
        for population, chunk in sorted(chunks, key=lambda pair: -pair[0].seconds):
            if (id(population), chunk) not in flying:
                trials = population.trials_of(chunk)
                advanced = _WORKERS.submit(population.advance, chunk, trials)
                self._flights.append(Flight(population, chunk, trials, advanced))

    @property
    def is_training(self) -> bool:
        """Whether epochs were started that are not collected yet."""
        return bool(self._flights)

    @property
    def has_landed(self) -> bool:
        """Whether epochs that were started wait to be collected: all of them in lockstep, else any."""
        landed = [flight.advanced.done() for flight in self._flights]
        return bool(landed) and (all if self._lockstep else any)(landed)

    def collect(self) -> dict[int, EpochResult]:
        """Wait for epochs that were started: in lockstep for all of them, else until the first has ended.

        Returns:
            The results, in the order of trial numbers.
        """
        wait(
            [flight.advanced for flight in self._flights],
            return_when=ALL_COMPLETED if self._lockstep else FIRST_COMPLETED,
        )
        landed = [flight for flight in self._flights if flight.advanced.done()]
        self._flights = [flight for flight in self._flights if flight not in landed]
        results: dict[int, EpochResult] = {}
        for population, _, trials, advanced in landed:
            error = advanced.exception()
            if error is None:
                self._note(population, trials, advanced.result())
                for trial in trials:
                    results[trial] = self._result(population, trial, advanced.result())
            elif is_out_of_memory(error):
                results |= self._run_again(trials)
            else:
                raise error
        return dict(sorted(results.items()))

    def advance(self) -> dict[int, EpochResult]:
        """Train every trial that has lanes one epoch. Results come in the order of trial numbers."""
        self.dispatch()
        return self.collect()

    def remove(self, trial: int) -> None:
        """Free a trial's lanes, or its place among those that wait for some."""
        if trial in self._seated:
            population = self._seated[trial].population
            self._homes.ended(population.seats[trial].epoch)
            self._leave(trial)
        self._taken.pop(trial, None)
        self._placed.pop(trial, None)

    def placement_of(self, trial: int) -> dict[str, Any] | None:
        """The program that trains a trial, as plain data; None as long as it has none."""
        if trial in self._seated:
            return self._seated[trial].home.placement
        return self._placed[trial].home.placement if trial in self._placed else None

    def population_of(self, trial: int) -> Population:
        """The population that a trial has lanes in."""
        return self._seated[trial].population

    def refit(self, trial: int, hyperparameters: Mapping[str, Any]) -> EpochResult:
        """Train a configuration on all rows that are not test data, evaluated on the test rows after the last epoch.

        The lanes that a trial has for its folds all train on the same rows, each from a key of its own: the results
        are those of as many seeds, and the program is one that trials of these sizes had.
        """
        parts = split(hyperparameters, floats=FLOATS, static=self._static)
        home, same = (
            self._homes.place(self._homes.asked(parts), parts, ()),
            [self._arrays.final] * len(self._arrays.folds),
        )
        population = Population(self._homes.request(home).result(), self._arrays, same)
        population.insert(trial, self._draw(home, parts.numbers, trial))
        for _ in range(self._arrays.epochs):
            advanced = population.advance(population.seats[trial].chunk, [trial])
        return self._result(population, trial, advanced)

    def settle(self) -> None:
        """Wait for the epochs that were started, and forget what they gave."""
        wait([flight.advanced for flight in self._flights])
        self._flights.clear()

    def close(self) -> None:
        """Let go of what runs, and of programs that nobody waits for any more."""
        self.settle()
        for placed in self._placed.values():
            placed.program.cancel()
        for held in (self._foreseen, self._taken, self._placed, self._seated, self._failed, self._open):
            held.clear()

    def _draw(self, home: Home, numbers: Mapping[str, float], trial: int) -> Drawn:
        return draw(home.recipe, numbers, self._seed, trial, len(self._arrays.folds))

    def _populations(self) -> list[Population]:
        populations = (seated.population for seated in self._seated.values())
        return list({id(population): population for population in populations}.values())

    def _seat(self, trial: int, placed: Placed) -> None:
        program = self._homes.program_that_fits(placed.home, placed.program)
        if self._seated and not self._homes.has_room_for(program, self._populations(), _THREADS):
            return
        population = self._open.get(placed.home)
        if population is None or population.program is not program:
            population = self._open[placed.home] = Population(program, self._arrays, self._arrays.folds)
            self._homes.runs(placed.asked, program)
        population.insert(trial, placed.drawn)
        self._seated[trial] = Seated(placed.asked, placed.home, population)
        del self._placed[trial]

    def _leave(self, trial: int) -> None:
        seated = self._seated.pop(trial)
        seated.population.remove(trial)
        if not seated.population.seats and self._open.get(seated.home) is seated.population:
            del self._open[seated.home]

    def _run_again(self, trials: list[int]) -> dict[int, EpochResult]:
        """Train a chunk's trials up to the epoch that ran out of memory once more, in a smaller program."""
        seated = {trial: self._seated[trial] for trial in trials}
        seats = {trial: seated[trial].population.seats[trial] for trial in trials}
        for trial in trials:
            self._leave(trial)
        home, layout = seated[trials[0]].home, seated[trials[0]].population.program.layout
        while True:
            try:
                program = self._homes.program_that_fits(home, self._homes.shrink(home, layout))
                again = Population(program, self._arrays, self._arrays.folds)
                results = self._replay(again, home, seats)
            except OutOfMemoryError as error:
                self._failed |= dict.fromkeys(trials, error)
                return {}
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                layout = program.layout
            else:
                self._open[home] = again
                self._seated |= {trial: Seated(seated[trial].asked, home, again) for trial in trials}
                return results

    def _replay(self, population: Population, home: Home, seats: Mapping[int, Seat]) -> dict[int, EpochResult]:
        """Those that have come furthest begin, and the others join when they are as far as they were."""
        results: dict[int, EpochResult] = {}
        for epoch in range(max(seat.epoch for seat in seats.values()), -1, -1):
            for trial in [trial for trial, seat in seats.items() if seat.epoch == epoch]:
                population.insert(trial, self._draw(home, seats[trial].numbers, trial))
            for chunk in population.chunks:
                advanced = population.advance(chunk, population.trials_of(chunk))
                results |= {trial: self._result(population, trial, advanced) for trial in population.trials_of(chunk)}
        return results

    def _note(self, population: Population, trials: list[int], advanced: Advanced) -> None:
        population.seconds = advanced.seconds
        self.usage.count([population.seats[trial] for trial in trials], population.program.layout)
        for trial in trials:
            seated = self._seated[trial]
            self._homes.ran(seated.asked, seated.home, advanced.seconds / len(trials))
        home, first = self._seated[trials[0]].home, trials[0]
        numbers = population.seats[first].numbers
        self._homes.trained(home, population.program, advanced.seconds, lambda: self._draw(home, numbers, first))

    def _result(self, population: Population, trial: int, advanced: Advanced) -> EpochResult:
        task = task_of(self._arrays.spec)
        values = population.results_of(trial, advanced.results)
        sums = {name: np.asarray(part, np.float64) for name, part in values["sums"].items()}
        metrics = {name: np.asarray(metric.of(sums)) for name, metric in task.metrics.items()}
        return EpochResult(population.seats[trial].epoch, np.asarray(values["loss"], np.float64), metrics)


def _evenly(trials: int, folds: int, devices: int) -> int:
    """The trials of a chunk, rounded up so that their lanes spread evenly over the devices."""
    step = devices // gcd(folds, devices)
    return -(-trials // step) * step
