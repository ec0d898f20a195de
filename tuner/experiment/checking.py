"""Everything that can be checked of an experiment without training it."""

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
from optuna.distributions import BaseDistribution

from tuner.errors import InputError, nearest
from tuner.experiment.definition import Experiment
from tuner.experiment.own_task import check_task
from tuner.experiment.sampling import DRAWS, sampled
from tuner.experiment.space import Kind, kind_of, parts_of_lanes, samples_independently
from tuner.hyperparameters import Elastic, Signature, Width, split
from tuner.lanes.arrays import Arrays
from tuner.lanes.placement import caps_between
from tuner.training.recipe import Recipe, apply, batch_shape
from tuner.training.settings import SETTINGS, parts_of, without_effect
from tuner.training.weights import check_fit

_NEEDS_A_VALUE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.UnexpectedTracerError,
)


@dataclass(frozen=True)
class Checked:
    """What a check found.

    static: paths of floats that the model needs as constants. reads_all: the model took all names at once (``**``).
    programs: that the trials need at least and can need at most, by the values that the draws showed; None where floats
    are static.
    distributions: what the search space draws from.
    failure: what the model raised where no draw could be built.
    unused: what the trainer is given and does not use, each with the reason.
    kinds: how each name of ``distributions`` enters programs.
    independent: names that some draws lack and that the sampler therefore samples independently of the others.
    draws: what was looked at.
    missing: numbers of the table that are filled in.
    """

    static: frozenset[str]
    reads_all: bool
    programs: tuple[int, int] | None
    distributions: Mapping[str, BaseDistribution]
    failure: Exception | None
    unused: frozenset[str] = frozenset()
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    independent: frozenset[str] = frozenset()
    draws: Sequence[Mapping[str, Any]] = ()
    missing: int = 0


class _Reading(Mapping[str, Any]):
    """Hyperparameters that remember which of their names were read."""

    def __init__(self, values: Mapping[str, Any], log: "_Log") -> None:
        self._values, self._log = values, log

    def __getitem__(self, name: str) -> Any:
        self._log.read.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        self._log.all = True
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class _Log:
    def __init__(self) -> None:
        self.read: set[str] = set()
        self.all = False


def check(experiment: Experiment, arrays: Arrays) -> Checked:
    """Check search space and model of an experiment on seeded draws, each range's ends and every category.

    Raises:
        InputError: the search space fails, a value breaks a rule, a name is read by nothing, or the model's output
            has the wrong shape.
    """
    draws, distributions, ends, conditional = sampled(experiment.search_space)
    for draw in draws:
        arrays.check(draw)
    log = _Log()
    model = experiment.model
    watched = replace(
        _recipe(experiment, arrays, Signature(())), model=lambda values, *rest: model(_Reading(values, log), *rest)
    )
    static, failures, signatures = _trace_all(draws, watched)
    failure = failures[0] if len(failures) == len(signatures) else None
    if experiment.init_from is not None and failure is None:
        _check_weights(draws, _recipe(experiment, arrays, Signature(())), arrays)
    if experiment.task is not None:
        check_task(arrays, draws, lambda values: _Reading(values, log))
    unread = set() if log.all else {name for draw in draws for name in draw} - log.read - SETTINGS.keys()
    if failure is not None:  # the model stopped early: only a name that it missed speaks of a wrong one
        unread = (
            set(difflib.get_close_matches(str(failure.args[0]), unread)) if isinstance(failure, KeyError) else set()
        )
    _refuse_unread(unread, log.read)
    programs = None if static else _programs(draws)
    unused = frozenset(name for draw in draws for name in without_effect(draw, arrays.spec))
    return Checked(
        static,
        log.all,
        programs,
        distributions,
        failure,
        unused,
        kinds={name: kind_of(different, static) for name, different in ends.items()},
        independent=conditional if samples_independently(experiment.sampler) else frozenset(),
        draws=draws,
        missing=arrays.prepared.missing,
    )


def notes_of(checked: Checked, trials: int | None = None) -> list[str]:
    """What a user should know of an experiment that can be trained, a sentence each."""
    notes = [_note_on_static(checked, trials)]
    if checked.unused:
        notes.append(f"given and not used by the trainer: {', '.join(sorted(checked.unused))}")
    if checked.independent:
        names = ", ".join(sorted(checked.independent))
        notes.append(f"the sampler draws conditional parameters independently of the others: {names}; tpe does not")
    if checked.missing:
        notes.append(
            f"missing numbers of the table: {checked.missing}, filled in by the mean of a fold's training rows"
        )
    return [note for note in notes if note]


def _note_on_static(checked: Checked, trials: int | None) -> str | None:
    """One sentence on floats that are constants of programs; None where there are none."""
    if not checked.static:
        return None
    many = f"{trials} trials can need {trials} programs" if trials else "N trials can need N programs"
    return (
        f"the model needs the value of {', '.join(sorted(checked.static))} while it is built or called, so each value "
        f"is compiled on its own: {many}. Layers of tuner.nn (Dropout, say) take it as a number and share programs."
    )


def _recipe(experiment: Experiment, arrays: Arrays, signature: Signature) -> Recipe:
    return Recipe(experiment.model, arrays.spec, arrays.task, signature, arrays.weights.frozen)


def _trace_all(
    draws: Iterable[Mapping[str, Any]], recipe: Recipe
) -> tuple[frozenset[str], list[Exception], set[Signature]]:
    static: frozenset[str] = frozenset()
    failures: list[Exception] = []
    seen: set[Signature] = set()
    for draw in draws:  # the model does not see what the trainer reads: draws that differ there alone are one
        signature = split({name: value for name, value in draw.items() if name not in SETTINGS}).signature
        if signature in seen:
            continue
        seen.add(signature)
        try:
            static |= _static_floats(draw, recipe)
        except InputError:
            raise
        except Exception as error:  # noqa: BLE001  a user's model may raise anything; its trials will say so
            failures.append(error)
    return static, failures, seen


def _static_floats(draw: Mapping[str, Any], recipe: Recipe) -> frozenset[str]:
    """The floats whose values the model needs: none, or those that fail where they alone are traced."""
    if _traces(draw, recipe, frozenset()):
        return frozenset()
    parts = parts_of(draw)
    floats = frozenset(parts.numbers) - set(parts.signature.sizes)
    alone = frozenset(path for path in floats if not _traces(draw, recipe, floats - {path}))
    if not alone or not _traces(draw, recipe, alone):
        _trace(draw, recipe, floats)  # raises what the model raises even so
    return alone


def _traces(draw: Mapping[str, Any], recipe: Recipe, static: frozenset[str]) -> bool:
    try:
        _trace(draw, recipe, static)
    except _NEEDS_A_VALUE:
        return False
    return True


def _trace(draw: Mapping[str, Any], recipe: Recipe, static: frozenset[str]) -> None:
    """Build the model and pass a batch through it, in training and in evaluation, without computing anything."""
    recipe = replace(recipe, signature=parts_of(draw, static).signature)
    abstract = recipe.abstract
    batch = batch_shape(recipe.spec, 2)
    for graph in (abstract.training, abstract.evaluation):
        outputs, _ = jax.eval_shape(
            lambda values, inputs, graph=graph: apply(recipe, graph, values, inputs), abstract.values, batch
        )
        _check_shape(outputs, recipe)


def _check_shape(outputs: Any, recipe: Recipe) -> None:
    expected = (2, *recipe.spec.output_shape)
    shape = getattr(outputs, "shape", None)
    if shape != expected:
        raise InputError(
            f"the model's output for a batch of 2 examples must have shape {expected}",
            str(shape or type(outputs).__name__),
            f"Let its last layer have spec.outputs = {recipe.spec.outputs} units, one row an example.",
        )


def _check_weights(draws: Iterable[Mapping[str, Any]], recipe: Recipe, arrays: Arrays) -> None:
    """Check what lanes start from against the model at the sizes of every draw."""
    for signature in {parts_of_lanes(draw).narrow for draw in draws}:
        check_fit(arrays.weights, replace(recipe, signature=signature))


def _programs(draws: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    """The static values seen in each place, multiplied; and these times the caps in use of each width."""
    values: dict[str, set[Any]] = {}
    sizes: dict[str, list[Width]] = {}
    for draw in draws:
        parts = parts_of(draw)
        for path, slot in parts.signature.leaves():
            if isinstance(slot, Elastic):
                sizes.setdefault(path, []).append(Width(int(parts.numbers[path]), slot.cap))
            else:
                values.setdefault(path, set()).add(slot)
    caps = [caps_between(widths) for widths in sizes.values()]
    families = math.prod(len(seen) for seen in values.values())
    return families, families * math.prod(caps)


def _refuse_unread(unread: set[str], read: set[str]) -> None:
    for name in sorted(unread):
        raise InputError(
            f"nothing reads the hyperparameter that the search space returns (looked at {DRAWS} draws)",
            name,
            nearest(name, read | SETTINGS.keys()),
        )
