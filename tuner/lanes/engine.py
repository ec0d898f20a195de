"""The engine: trials go in, an epoch's results of every trial come out. It alone decides which program trains what."""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from tuner.hyperparameters import Split, split
from tuner.lanes.arrays import Arrays
from tuner.lanes.placement import smallest_power_of_two
from tuner.lanes.population import Drawn, Population, draw
from tuner.lanes.program import Program, layout_of
from tuner.lanes.store import PROGRAMS, ProgramStore
from tuner.training.lane import Model, Recipe
from tuner.training.settings import FLOATS, setting
from tuner.training.tasks import task_of


@dataclass(frozen=True, eq=False)
class EpochResult:
    """One epoch of one trial: its number from 1, the training loss and each metric over the folds, shape (folds,)."""

    epoch: int
    train_loss: np.ndarray
    metrics: Mapping[str, np.ndarray]


class Home(NamedTuple):
    """What decides which program trains a trial."""

    recipe: Recipe
    batch_size: int


class Waiting(NamedTuple):
    """A trial that has no lanes yet, and the program that it will train in."""

    home: Home
    numbers: dict[str, float]
    program: Future[Program]


@dataclass
class Usage:
    """Counts for the study's cost.

    lane_epochs: run, and busy_lane_epochs: those of them that held a trial. weights: multiply-adds of one example with
    each kernel of the caps, over all lane-epochs, and weights_in_use: those of units within the sizes.
    programs: used.
    """

    busy_lane_epochs: int = 0
    lane_epochs: int = 0
    weights: int = 0
    weights_in_use: int = 0
    programs: int = 0

    @property
    def occupancy(self) -> float:
        """Busy lane-epochs over all."""
        return self.busy_lane_epochs / self.lane_epochs if self.lane_epochs else 1.0

    @property
    def mask_tax(self) -> float:
        """Multiply-adds on masked units over all multiply-adds."""
        return 1 - self.weights_in_use / self.weights if self.weights else 0.0


class Engine:
    """Trains trials, all their folds as lanes of compiled programs.

    Args:
        model: builds a module from hyperparameters.
        arrays: data and folds.
        slots: trials at once at most.
        chunk: trials that one call of a program trains; by default one on a CPU, all on an accelerator.
        seed: the study's.
        static: paths of floats that this experiment's model needs as constants.
        store: where programs are kept.
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
    ) -> None:
        self._model, self._arrays, self._seed = model, arrays, seed
        self._trials = chunk or (1 if jax.default_backend() == "cpu" else slots)
        self._static, self._store = static, store
        self._populations: dict[Home, Population] = {}
        self._home: dict[int, Home] = {}
        self._homes: set[Home] = set()
        self._waiting: dict[int, Waiting] = {}
        self.usage = Usage()

    def split(self, hyperparameters: Mapping[str, Any]) -> Split:
        """The hyperparameters' signature, with the caps of the program that trains them, and their numbers."""
        return split(hyperparameters, floats=FLOATS, static=self._static, cap_for=smallest_power_of_two)

    def add(self, trial: int, hyperparameters: Mapping[str, Any]) -> None:
        """Take a trial on: its program is compiled in the background if there is none."""
        parts = self.split(hyperparameters)
        home = Home(Recipe(self._model, self._arrays.spec, parts.signature), setting(hyperparameters, "batch_size"))
        self._waiting[trial] = Waiting(home, parts.numbers, self._request(home))

    def seat(self) -> dict[int, Exception]:
        """Give every trial taken on its lanes, waiting for the programs that are still being compiled.

        Returns:
            The trials whose model raised while it was traced or built, with the exception.
        """
        failures: dict[int, Exception] = {}
        drawn: dict[int, Drawn] = {}
        for step in (self._draw, self._insert):  # all are drawn while the first programs are being compiled
            for trial in [trial for trial in self._waiting if trial not in failures]:
                try:
                    step(trial, drawn)
                except Exception as error:  # noqa: BLE001  a user's model may raise anything; that trial alone fails
                    failures[trial] = error
        self._waiting.clear()
        return failures

    def advance(self) -> dict[int, EpochResult]:
        """Train every trial one epoch. Results come in the order of trial numbers."""
        dispatched = [(population, population.advance()) for population in self._populations.values()]
        results: dict[int, EpochResult] = {}
        for population, arrays in dispatched:
            self._count(population)
            fetched = jax.device_get(arrays)
            for trial, seat in population.seats.items():
                results[trial] = self._result(seat.epoch, population.results_of(trial, fetched))
        return dict(sorted(results.items()))

    def remove(self, trial: int) -> None:
        """Free a trial's lanes."""
        home = self._home.pop(trial)
        self._populations[home].remove(trial)
        self._drop_if_empty(home)

    def refit(self, trial: int, hyperparameters: Mapping[str, Any]) -> EpochResult:
        """Train a configuration on all rows that are not test data, evaluated on the test rows after the last epoch.

        The lanes that a trial has for its folds all train on the same rows, each from a key of its own: the results
        are those of as many seeds, and the program is the one that the trial had.
        """
        parts = self.split(hyperparameters)
        home = Home(Recipe(self._model, self._arrays.spec, parts.signature), setting(hyperparameters, "batch_size"))
        same = [self._arrays.final] * len(self._arrays.folds)
        population = Population(self._request(home).result(), self._arrays, same)
        population.insert(trial, draw(home.recipe, parts.numbers, self._seed, trial, len(same)))
        for _ in range(self._arrays.epochs):
            arrays = population.advance()
        return self._result(self._arrays.epochs, population.results_of(trial, jax.device_get(arrays)))

    def close(self) -> None:
        """Let go of programs that nobody waits for any more."""
        for waiting in self._waiting.values():
            waiting.program.cancel()
        self._waiting.clear()
        self._populations.clear()

    def _request(self, home: Home) -> Future[Program]:
        self._homes.add(home)
        self.usage.programs = len(self._homes)
        return self._store.request(home.recipe, layout_of(self._arrays, home.batch_size, self._trials))

    def _draw(self, trial: int, drawn: dict[int, Drawn]) -> None:
        home, numbers, _ = self._waiting[trial]
        drawn[trial] = draw(home.recipe, numbers, self._seed, trial, len(self._arrays.folds))

    def _insert(self, trial: int, drawn: dict[int, Drawn]) -> None:
        home, _, program = self._waiting[trial]
        if home not in self._populations:
            self._populations[home] = Population(program.result(), self._arrays, self._arrays.folds)
        try:
            self._populations[home].insert(trial, drawn.pop(trial))
        finally:
            self._drop_if_empty(home)
        self._home[trial] = home

    def _drop_if_empty(self, home: Home) -> None:
        if not self._populations[home].seats:
            del self._populations[home]

    def _count(self, population: Population) -> None:
        self.usage.busy_lane_epochs += len(population.seats) * population.program.layout.folds
        self.usage.lane_epochs += population.lanes_run
        for seat in population.seats.values():
            self.usage.weights += seat.weights
            self.usage.weights_in_use += seat.weights_in_use

    def _result(self, epoch: int, values: Any) -> EpochResult:
        task = task_of(self._arrays.spec)
        sums = {name: np.asarray(part, np.float64) for name, part in values["sums"].items()}
        metrics = {name: np.asarray(metric.of(sums)) for name, metric in task.metrics.items()}
        return EpochResult(epoch, np.asarray(values["loss"], np.float64), metrics)
