"""The engine: trials go in, an epoch's results of every trial come out. It alone decides which program trains what."""

from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import suppress
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from tuner.errors import InputError
from tuner.hyperparameters import Split
from tuner.lanes.arrays import Arrays
from tuner.lanes.cache import use_persistent_cache
from tuner.lanes.compaction import Compaction
from tuner.lanes.draws import Drawn, draw, lane_words, order_words
from tuner.lanes.flights import THREADS, WORKERS, Flights
from tuner.lanes.homes import Home, Homes
from tuner.lanes.machine import device_kind
from tuner.lanes.memory import OutOfMemoryError, is_out_of_memory
from tuner.lanes.placement import Asked
from tuner.lanes.population import Advanced, Population
from tuner.lanes.rerun import train_again
from tuner.lanes.results import EpochResult, results_of
from tuner.lanes.scheduler import as_plain, from_plain
from tuner.lanes.snapshots import Snapshot
from tuner.lanes.store import PROGRAMS, ProgramStore
from tuner.lanes.usage import Usage
from tuner.lanes.waiting import Placed, Waiting
from tuner.training.recipe import Model
from tuner.training.settings import parts_of
from tuner.training.weights import named

Wait = Literal["all", "first", "none"]


class Seated(NamedTuple):
    """A trial that has lanes, and which of the engine's slots it takes."""

    asked: Asked
    home: Home
    population: Population
    slot: int


class Engine:
    """Trains trials, all their folds as lanes of compiled programs.

    Args:
        model: builds a module from hyperparameters.
        arrays: data and folds.
        slots: trials at once at most.
        chunk: trials that one call of a program trains; by default one on a CPU, elsewhere as many as fill the device.
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
        self.usage = Usage()
        self._homes = Homes(
            model,
            arrays,
            store,
            self.usage,
            slots=slots,
            chunk=chunk,
            devices=devices,
            budget=budget or arrays.epochs,
            deterministic=deterministic,
            pool=WORKERS,
        )
        self._waiting = Waiting(self._homes, self._draw)
        self._seated: dict[int, Seated] = {}
        self._first_of: dict[Hashable, int] = {}  # the first trial of each family, which stands for it in a checkpoint
        self._open: dict[Home, Population] = {}
        self._compaction = None if deterministic else Compaction(self._homes, arrays)
        self._more_to_come = True
        self._flights = Flights(lockstep=lockstep or self._homes.most_trials > 1)

    def check(self, hyperparameters: Mapping[str, Any]) -> None:
        """Check what the trainer is given.

        Raises:
            InputError: it cannot use it.
        """
        self._arrays.check(hyperparameters)

    def foresee(self, trials: Mapping[int, Mapping[str, Any]]) -> None:
        """Reckon with trials that will be added later, by number: their homes are chosen together."""
        for trial, hyperparameters in trials.items():
            with suppress(InputError):  # it will be refused when it comes
                self._waiting.foresee(trial, self._split(hyperparameters))

    def add(self, trial: int, hyperparameters: Mapping[str, Any], snapshot: Snapshot | None = None) -> None:
        """Take a trial on, where there is a snapshot as it was then.

        Raises:
            DoesNotFit: the snapshot is of another model or program. The trial is not taken on.
        """
        parts = self._split(hyperparameters)
        if snapshot is None:
            self._waiting.add(trial, parts)
        else:
            self._waiting.resume(trial, parts, snapshot)
        self._first_of.setdefault(parts.signature, trial)
        self._more_to_come = True

    def snapshot(self, trial: int) -> Snapshot | None:
        """A trial as it is; one with lanes must not be training. None where it has failed."""
        if trial in self._seated:
            return self._seated[trial].population.snapshot(trial)
        if trial not in self._waiting.placed:
            return None
        if (kept := self._waiting.placed[trial].snapshot) is not None:
            return kept
        home = self._waiting.placed[trial].home
        layout = self._homes.layout_of(home)
        return Snapshot(home.recipe.signature.caps, layout.trials, layout.together, layout.devices)

    def no_more(self) -> None:
        """No trial will be added: those that are left may be moved together."""
        self._more_to_come = False

    def place(self) -> None:
        """Find a home for every trial that was taken on, and have its program compiled in the background.

        While others train, what the trials start with is drawn too.
        """
        self._waiting.place()
        if self.is_training:  # else programs are waited for, which need the interpreter to be traced
            self._waiting.draw_ahead()

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
            wait([placed.program for placed in self._waiting.placed.values()], return_when=FIRST_COMPLETED)
        for trial, placed in list(self._waiting.placed.items()):
            if len(self._seated) >= self._slots:
                break
            if until == "all" or placed.program.done():
                with self._waiting.failing(trial):
                    self._seat(trial, placed)
        if not (self._more_to_come or self._waiting.placed or self.is_training):
            self._compact()
        failed, self._waiting.failed = self._waiting.failed, {}
        return failed

    @property
    def scheduler(self) -> dict[str, Any]:
        """What placing has led to, as plain data, and the numbers of the trials that are foreseen."""
        return as_plain(self._homes.memory, self._first_of) | {"foreseen": self._waiting.foreseen}

    def remember(self, scheduler: Mapping[str, Any], hyperparameters_of: Callable[[int], Mapping[str, Any]]) -> None:
        """Go on placing as the engine whose ``scheduler`` this was, but for what it foresaw."""
        memory, first_of = from_plain(scheduler, lambda trial: self._split(hyperparameters_of(trial)).signature)
        self._first_of |= first_of
        self._homes.remember(memory)

    @property
    def seated(self) -> set[int]:
        """Trials that have lanes."""
        return set(self._seated)

    def dispatch(self) -> None:
        """Start an epoch of every chunk that does not train."""
        self._flights.start(self._populations())

    @property
    def is_training(self) -> bool:
        """Whether epochs were started that are not collected yet."""
        return bool(self._flights)

    @property
    def training(self) -> set[int]:
        """The trials whose epoch was started and is not collected yet."""
        return self._flights.trials

    @property
    def has_landed(self) -> bool:
        """Whether epochs that were started can be collected without waiting."""
        return self._flights.have_landed

    def collect(self) -> dict[int, EpochResult]:
        """Wait for epochs that were started: in lockstep for all of them, else until the first has ended.

        Returns:
            The results, in the order of trial numbers.
        """
        results: dict[int, EpochResult] = {}
        for population, _, trials, advanced in self._flights.collect():
            error = advanced.exception()
            if error is None:
                self._note(population, trials, advanced.result())
                results |= results_of(self._arrays, population, trials, advanced.result())
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
        self._waiting.remove(trial)

    def placement_of(self, trial: int) -> dict[str, Any] | None:
        """The program that trains a trial, as plain data; None as long as it has none."""
        if trial in self._seated:
            home, layout = self._seated[trial].home, self._seated[trial].population.program.layout
            shape = {"chunk": layout.trials, "lanes_together": layout.together, "devices": layout.devices}
            return home.placement | shape | {"device": device_kind()}
        placed = self._waiting.placed.get(trial)
        return None if placed is None else placed.home.placement

    def slot_of(self, trial: int) -> int:
        """Which of the slots a trial that has lanes takes: the first that was free. It says nothing of lanes."""
        return self._seated[trial].slot

    def population_of(self, trial: int) -> Population:
        """The population that a trial has lanes in."""
        return self._seated[trial].population

    def refit(self, trial: int, hyperparameters: Mapping[str, Any], epochs: int | None = None) -> EpochResult:
        """Train a configuration on all rows that are not test data, evaluated on the test rows after the last epoch.

        The lanes that a trial has for its folds all train on the same rows, each from a key of its own: the results
        are those of as many seeds, and the program is one that trials of these sizes had.

        Args:
            trial: its number, for the draws.
            hyperparameters: of the trial.
            epochs: to train; all by default.
        """
        population, advanced = self._refit(trial, hyperparameters, epochs or self._arrays.epochs)
        return results_of(self._arrays, population, [trial], advanced)[trial]

    def refit_weights(self, trial: int, hyperparameters: Mapping[str, Any], epochs: int) -> dict[str, np.ndarray]:
        """The values by name of the first of the lanes that ``refit`` trains, at the caps of the hyperparameters."""
        population, _ = self._refit(trial, hyperparameters, epochs)
        return {name: np.asarray(leaf[0]) for name, leaf in named(population.values_of(trial)).items()}

    def _refit(self, trial: int, hyperparameters: Mapping[str, Any], epochs: int) -> tuple[Population, Advanced]:
        parts = self._split(hyperparameters)
        home = self._homes.place(self._homes.asked(parts), parts, ())
        program = self._homes.program_that_fits(home, self._homes.request(home))
        population = Population(program, self._arrays, [self._arrays.final] * len(self._arrays.folds))
        population.insert(trial, self._draw(home, parts.numbers, trial))
        for _ in range(epochs):
            advanced = population.advance(population.seats[trial].chunk, [trial])
        return population, advanced

    def settle(self) -> None:
        """Wait for the epochs that were started, and forget what they gave."""
        self._flights.settle()

    def close(self) -> None:
        """Let go of what runs, and of programs that nobody waits for any more."""
        self.settle()
        self._waiting.clear()
        for held in (self._seated, self._open):
            held.clear()

    def _split(self, hyperparameters: Mapping[str, Any]) -> Split:
        return parts_of(hyperparameters, self._static)

    def _draw(self, home: Home, numbers: Mapping[str, float], trial: int) -> Drawn:
        return draw(home.recipe, numbers, self._seed, trial, len(self._arrays.folds), self._arrays.weights)

    def _populations(self) -> list[Population]:
        populations = (seated.population for seated in self._seated.values())
        return list({id(population): population for population in populations}.values())

    def _seat(self, trial: int, placed: Placed) -> None:
        program = self._homes.program_that_fits(placed.home, placed.program)
        if self._seated and not self._homes.has_room_for(program, self._populations(), THREADS):
            return
        population = self._open.get(placed.home)
        if population is None or population.program is not program:
            population = self._open[placed.home] = Population(program, self._arrays, self._arrays.folds)
            self._homes.runs(placed.home, program)
        if placed.snapshot is None:
            population.insert(trial, self._waiting.drawn(trial))
        else:
            words = order_words(lane_words(self._seed, trial, len(self._arrays.folds)))
            population.restore(trial, placed.parts.numbers, words, placed.snapshot)
        taken = {seated.slot for seated in self._seated.values()}
        slot = next(slot for slot in range(self._slots) if slot not in taken)
        self._seated[trial] = Seated(placed.asked, placed.home, population, slot)
        self._waiting.remove(trial)

    def _compact(self) -> None:
        moved = {} if self._compaction is None else self._compaction.moved(self._open)
        self._open |= moved
        for population in moved.values():
            for trial in population.seats:
                self._seated[trial] = self._seated[trial]._replace(population=population)

    def _leave(self, trial: int) -> None:
        seated = self._seated.pop(trial)
        seated.population.remove(trial)
        if not seated.population.seats and self._open.get(seated.home) is seated.population:
            del self._open[seated.home]

    def _run_again(self, trials: list[int]) -> dict[int, EpochResult]:
        """A chunk's trials, once more in a smaller program; those that fit in none fail."""
        before = {trial: self._seated[trial] for trial in trials}
        seats = {trial: seated.population.seats[trial] for trial, seated in before.items()}
        home, layout = before[trials[0]].home, before[trials[0]].population.program.layout
        for trial in trials:
            self._leave(trial)
        try:
            again, results = train_again(self._homes, self._arrays, home, layout, seats, self._draw)
        except OutOfMemoryError as error:
            self._waiting.failed |= dict.fromkeys(trials, error)
            return {}
        self._open[home] = again
        self._seated |= {trial: before[trial]._replace(population=again) for trial in trials}
        return results

    def _note(self, population: Population, trials: list[int], advanced: Advanced) -> None:
        population.seconds = advanced.seconds
        self.usage.count([population.seats[trial] for trial in trials], population.program.layout)
        for trial in trials:
            seated = self._seated[trial]
            self._homes.ran(seated.asked, seated.home, advanced.seconds / population.program.layout.trials)
        home, first = self._seated[trials[0]].home, trials[0]
        numbers = population.seats[first].numbers
        self._homes.trained(home, population, lambda: self._draw(home, numbers, first))
