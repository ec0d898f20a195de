"""Homes: which program trains a trial, in which layout, and what was seen of it so far."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from statistics import median
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from tuner.hyperparameters import Signature, Split
from tuner.lanes.arrays import Arrays
from tuner.lanes.costs import ON_ACCELERATOR, ON_CPU, Caps, Costs, places
from tuner.lanes.draws import Drawn
from tuner.lanes.layout import Layout, evenly_spread, layout_of
from tuner.lanes.memory import OutOfMemoryError, device_bytes, is_out_of_memory
from tuner.lanes.placement import Asked, Placer, PlacerMemory
from tuner.lanes.population import Population
from tuner.lanes.program import Program, lane_shapes
from tuner.lanes.remembered import Known, Remembered
from tuner.lanes.sites import covers
from tuner.lanes.snapshots import DoesNotFit, Snapshot, as_lanes
from tuner.lanes.store import ProgramStore
from tuner.lanes.usage import Usage
from tuner.lanes.uses import largest_operand
from tuner.lanes.ways import Way, Ways
from tuner.lanes.work import MultiplyAdds, multiply_adds
from tuner.training.recipe import Model, Recipe
from tuner.training.settings import setting

_CACHE = 1 << 20  # bytes: the second-level cache of a core
_LOAD = 0.3  # seconds until a program that an earlier study left in the cache runs: it is traced, not compiled


class Home(NamedTuple):
    """What decides which program trains a trial."""

    recipe: Recipe
    batch_size: int

    @property
    def caps(self) -> Caps:
        """The caps of its program."""
        return tuple(self.recipe.signature.caps.values())

    @property
    def placement(self) -> dict[str, Any]:
        """The home as plain data; of a function, its name."""
        statics = {path: value for path, value in self.recipe.signature.statics.items() if path != "batch_size"}
        named = {path: getattr(value, "__qualname__", value) for path, value in statics.items()}
        return {"caps": self.recipe.signature.caps, "batch_size": self.batch_size, "static": named}

    @property
    def described(self) -> str:
        """The home in words."""
        caps = ", ".join(f"{path} up to {cap}" for path, cap in self.recipe.signature.caps.items())
        return f"batch size {self.batch_size}" + (f", {caps}" if caps else "")


class Homes:
    """The programs of a study's trials. A family is the signature of a trial with its declared caps.

    Args:
        model: builds a module from hyperparameters.
        arrays: data and folds.
        store: where programs are kept.
        usage: is told which programs are used, and why.
        slots: trials at once at most.
        chunk: trials in a chunk; by default one on a CPU, elsewhere as many as fill the device.
        devices: over which lanes are spread.
        budget: epochs that a trial is expected to train, as long as none has ended.
        deterministic: decide nothing by measurement.
        pool: the threads that train; ways over the lanes are measured there too.
    """

    def __init__(
        self,
        model: Model,
        arrays: Arrays,
        store: ProgramStore,
        usage: Usage,
        *,
        slots: int,
        chunk: int | None,
        devices: int,
        budget: float,
        deterministic: bool,
        pool: Executor,
    ) -> None:
        self._model, self._arrays, self._store, self._usage = model, arrays, store, usage
        self._slots, self._chunk, self._devices, self._deterministic = slots, chunk, devices, deterministic
        self._layouts: dict[Home, Layout] = {}
        self._recipes: dict[Signature, Recipe] = {}  # one object for each, since a recipe builds its model but once
        self._multiply_adds: dict[Signature, MultiplyAdds] = {}
        self._nominal = ON_CPU if jax.default_backend() == "cpu" else ON_ACCELERATOR
        self._costs = Costs(self._work, self._opening_seconds, self._stored_caps, self._nominal)
        self._placer = Placer(self._costs, budget)
        self._known: dict[Any, Known] = {}  # by family, what earlier studies found out
        self._running: dict[Any, set[Caps]] = {}  # by family, the caps whose programs this study has run
        self._load_seconds: list[float] = []
        self._compile_seconds: list[float] = []
        self._families: dict[Home, Any] = {}
        fixed = chunk is not None or not self._nominal.launch
        self._ways = Ways(arrays, store.request, pool, self._nominal.compile, fixed=fixed)

    @property
    def most_trials(self) -> int:
        """Trials that a chunk holds at most."""
        most = self._chunk or (self._slots if self._nominal.launch else 1)
        return evenly_spread(most, len(self._arrays.folds), self._devices)

    def asked(self, parts: Split) -> Asked:
        """A trial as placement sees it."""
        caps = parts.signature.caps
        return Asked(parts.signature, tuple(int(parts.numbers[path]) for path in caps), tuple(caps.values()))

    def place(self, trial: Asked, parts: Split, waiting: Iterable[Asked]) -> Home:
        """The home of a trial, in view of those that wait behind it.

        Raises:
            Exception: whatever the model raises while its kernels are looked at.
        """
        decision = self._placer.place(trial, waiting)
        home = self._home(trial.family, decision.caps, parts)
        if home not in self._layouts:
            self._families[home] = trial.family
            self._layouts[home] = self._layout(trial.family, home)
            self._usage.compiled.append(home.placement | {"reason": decision.reason})
        return home

    def reopen(self, trial: Asked, parts: Split, snapshot: Snapshot) -> tuple[Home, Future[Program]]:
        """The home that a trial had before the study was resumed, and its program of that time.

        Raises:
            DoesNotFit: no program of these caps can train the trial, or the lanes are of another model.
        """
        declared = parts.signature.caps
        if snapshot.caps.keys() != declared.keys():
            raise DoesNotFit(f"caps of {', '.join(snapshot.caps)}")
        caps = tuple(snapshot.caps[path] for path in declared)
        if not (covers(caps, trial.sizes) and covers(trial.declared, caps)):
            raise DoesNotFit(f"caps {caps} for the sizes {trial.sizes}")
        home = self._home(trial.family, caps, parts)
        if snapshot.lanes:
            as_lanes(snapshot.lanes, lane_shapes(home.recipe, len(self._arrays.folds)))
        self._placer.opened[trial.family].add(caps)
        if home not in self._layouts:
            self._families[home] = trial.family
            self._layouts[home] = self._layout(trial.family, home)
            self._usage.compiled.append(home.placement | {"reason": "a trial goes on in it"})
        layout = self._layouts[home]
        if snapshot.devices == layout.devices:
            layout = replace(layout, trials=snapshot.trials, together=snapshot.together)
        return home, self._store.request(home.recipe, layout)

    def layout_of(self, home: Home) -> Layout:
        """The layout of a home's program."""
        return self._layouts[home]

    @property
    def memory(self) -> PlacerMemory:
        """What placing trials has led to so far."""
        return self._placer.memory

    def remember(self, memory: PlacerMemory) -> None:
        """Go on placing from there."""
        self._placer.remember(memory)

    def request(self, home: Home) -> Future[Program]:
        """The program of a home, at once or when it is compiled."""
        return self._store.request(home.recipe, self._layouts[home])

    def request_smaller(self, home: Home, layout: Layout) -> Future[Program]:
        """A home's program in another layout, for its last trials."""
        self._usage.compiled.append(home.placement | {"reason": f"{layout.trials} places for the last trials"})
        return self._store.request(home.recipe, layout)

    def opening_seconds(self, home: Home) -> float:
        """What a program of a home is expected to take until it runs."""
        return self._opening_seconds(self._families[home], home.caps)

    def runs(self, home: Home, program: Program) -> None:
        """A home's program is there, and a trial gets lanes in it."""
        family, caps = self._families[home], home.caps
        running = self._running.setdefault(family, set())
        if self._deterministic or caps in running:
            return
        running.add(caps)
        stored = self._stored_caps(family)
        (self._load_seconds if caps in stored else self._compile_seconds).append(program.seconds)
        if caps not in stored:
            self._remembered(family).add(caps=sorted(stored | running))

    def ran(self, trial: Asked, home: Home, seconds: float) -> None:
        """A trial was trained an epoch, by a program whose chunk took so long for each of its places."""
        self._placer.ran(trial)
        if not self._deterministic:
            self._costs.observe(trial.family, home.caps, seconds)

    def trained(self, home: Home, population: Population, drawn: Callable[[], Drawn]) -> None:
        """A chunk was trained: once that has taken long enough, the ways over the lanes are compared."""
        if not self._deterministic and population.program.layout == self._layouts[home]:  # not one for the last trials
            busy = len(population.seats)
            self._ways.trained(self._families[home], population.program, population.seconds, busy, drawn)

    def adopt_ways(self) -> None:
        """Use what comparing the ways has found, for trials to come and for studies to come."""
        for family, way in self._ways.found().items():
            self._remembered(family).add(way=way)
            self._known[family] = self._known_of(family).model_copy(update={"way": way})
            reason = f"{way.trials} trials, {way.together} lanes together: measured as the fastest"
            for home in [home for home, other in self._families.items() if other == family]:
                if self._layouts[home] != (layout := replace(self._layouts[home], **way._asdict())):
                    self._layouts[home] = layout
                    self._usage.compiled.append(home.placement | {"reason": reason})

    def ended(self, epochs: int) -> None:
        """A trial ended after so many epochs, complete or pruned."""
        self._placer.ended(epochs)

    def program_that_fits(self, home: Home, future: Future[Program]) -> Program:
        """A home's program, when it is compiled: of a smaller layout where it needs more memory than there is.

        Raises:
            OutOfMemoryError: not one lane at a time fits.
        """
        while True:
            try:
                program = future.result()
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            else:
                if program.memory.state + program.memory.call <= device_bytes():
                    return program
            future = self.shrink(home)

    def shrink(self, home: Home, layout: Layout | None = None) -> Future[Program]:
        """The program of a home in a layout that needs about half the memory.

        Args:
            home: whose layout becomes a smaller one.
            layout: that was too large; the home's present one by default.

        Raises:
            OutOfMemoryError: not one lane at a time fits.
        """
        smaller = (layout or self._layouts[home]).halved()
        if smaller is None:
            raise OutOfMemoryError(
                f"the device has not enough memory for one lane at a time ({home.described}): lower the caps or the "
                "largest batch size"
            )
        if smaller.lanes * smaller.together < self._layouts[home].lanes * self._layouts[home].together:
            self._layouts[home] = smaller
        return self.request(home)

    def has_room_for(self, program: Program, populations: Sequence[Population], threads: int) -> bool:
        """Whether one more chunk of a program fits beside the populations that train, with a call a thread at most."""
        held = sum(population.program.memory.state * len(population.chunks) for population in populations)
        largest = max([program.memory.call, *(population.program.memory.call for population in populations)])
        calls = min(threads, 1 + sum(len(population.chunks) for population in populations))
        return held + program.memory.state + largest * calls <= device_bytes()

    def _home(self, family: Any, caps: Caps, parts: Split) -> Home:
        recipe = self._recipe(family, dict(zip(family.caps, caps, strict=True)))
        return Home(recipe, setting(recipe.signature.fill(parts.numbers), "batch_size"))

    def _recipe(self, family: Signature, caps: Mapping[str, int]) -> Recipe:
        signature = family.with_caps(caps)
        if signature not in self._recipes:
            self._recipes[signature] = Recipe(
                self._model, self._arrays.spec, self._arrays.task, signature, self._arrays.weights.frozen
            )
        return self._recipes[signature]

    def _work(self, family: Any, caps: Caps) -> float:
        """Multiply-adds of an epoch of a trial, all folds."""
        declared = family.caps
        key = Signature(tuple(slot for slot in family.slots if slot[0] != "batch_size"))
        if key not in self._multiply_adds:
            self._multiply_adds[key] = multiply_adds(lambda at: self._recipe(family, at), declared)
        rows = sum(len(part.train) for part in self._arrays.folds)
        return rows * self._multiply_adds[key].at(dict(zip(declared, caps, strict=True)))

    def _layout(self, family: Any, home: Home) -> Layout:
        """The layout of a home's program, its way as measured by an earlier study, or as reckoned."""
        trials, together = self._way(family, home)
        return layout_of(self._arrays, home.batch_size, trials, together=together, devices=self._devices)

    def _way(self, family: Any, home: Home) -> Way | tuple[int, int | None]:
        if (known := self._known_of(family).way) is not None:
            self._ways.skip(family)
            return Way(*known)
        work = self._work(family, home.caps) / self._devices
        trials = self._chunk or places(self._slots, self._arrays.most_steps(home.batch_size), work, self._nominal)
        return evenly_spread(trials, len(self._arrays.folds), self._devices), self._together(family, home.batch_size)

    def _together(self, family: Any, batch_size: int) -> int | None:
        """Lanes of a vmap: all, or one where a CPU's cache holds no more.

        One lane at a time takes 0.7 to 1.0 of the time where the largest product's operands of all lanes outgrow the
        cache of a core, and up to 1.2 where they do not (docs/decisions/chunks.md).
        """
        if jax.default_backend() != "cpu":
            return None
        operand = largest_operand(self._recipe(family, family.caps)) * batch_size * jnp.result_type(float).itemsize
        return 1 if operand * len(self._arrays.folds) > _CACHE else None

    def _opening_seconds(self, family: Any, caps: Caps) -> float:
        if caps in self._stored_caps(family):
            return median(self._load_seconds or [_LOAD])
        return median(self._compile_seconds or [self._nominal.compile])

    def _stored_caps(self, family: Any) -> set[Caps]:
        return set(self._known_of(family).caps)

    def _known_of(self, family: Any) -> Known:
        """What earlier studies found out about a family; nothing where no measurement may decide."""
        if self._deterministic:
            return Known()
        if family not in self._known:
            self._known[family] = self._remembered(family).read()
        return self._known[family]

    def _remembered(self, family: Any) -> Remembered:
        layout = layout_of(self._arrays, 1, self.most_trials, devices=self._devices)
        chunk = f"chunk {self._chunk}"  # one that was asked for is no way that was found
        model = getattr(self._model, "__qualname__", type(self._model).__qualname__)
        return Remembered(f"{self._model.__module__}.{model} {self._arrays.spec} {family} {layout} {chunk}")
