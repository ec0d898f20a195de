"""Samplers by name, and their random numbers as a function of (study seed, trial number)."""

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.samplers._lazy_random_state import LazyRandomState
from optuna.trial import FrozenTrial, TrialState

from tuner.errors import InputError
from tuner.study.cma import PlainCmaEs

Distributions = Mapping[str, BaseDistribution]


class Grid(optuna.samplers.GridSampler):
    """Optuna's grid over a finite search space.

    Args:
        distributions: of the search space.
        seed: of the order.

    Raises:
        InputError: a distribution is continuous.
    """

    def __init__(self, distributions: Distributions, seed: int) -> None:
        super().__init__({name: _values(name, d) for name, d in distributions.items()}, seed=seed)

    def __len__(self) -> int:
        return len(self._all_grids)


class Seeded(BaseSampler):
    """A sampler that draws for each trial from (study seed, trial number), and whose own time is booked.

    Args:
        sampler: that answers.
        seed: the study's.
        book: makes the context in which it is asked.
    """

    def __init__(self, sampler: BaseSampler, seed: int, book: Callable[[], AbstractContextManager[None]]) -> None:
        self.inner, self._seed, self._book = sampler, seed, book

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The inner sampler's answer."""
        with self._book():
            return self.inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The inner sampler's answer."""
        with self._book():
            return self.inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The inner sampler's answer."""
        with self._book():
            return self.inner.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Let the inner sampler prepare itself; only now is the trial's number known."""
        with self._book():
            set_generators(self.inner, self._seed, trial.number)
            self.inner.before_trial(study, trial)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Let the inner sampler see how the trial ended."""
        with self._book():
            self.inner.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        """Reseed the inner sampler."""
        self.inner.reseed_rng()


def make_sampler(sampler: str | BaseSampler, seed: int, distributions: Distributions) -> BaseSampler:
    """The sampler of this name, or the object that was given.

    Raises:
        InputError: the search space or the installation does not allow it.
    """
    if not isinstance(sampler, str):
        return _plain(sampler)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match sampler:
            case "tpe":
                return optuna.samplers.TPESampler(group=True, seed=seed)
            case "random":
                return optuna.samplers.RandomSampler(seed=seed)
            case "grid":
                return Grid(distributions, seed)
            case "cmaes":
                return _with_extra("cmaes", "cmaes", lambda: PlainCmaEs(seed=seed))
            case _:
                return _with_extra("gp", "torch", lambda: optuna.samplers.GPSampler(seed=seed))


def _plain(sampler: BaseSampler) -> BaseSampler:
    """A sampler that unpickles nothing from the database, and asks none that does."""
    inner = {name: value for name, value in vars(sampler).items() if isinstance(value, BaseSampler)}
    plain = {name: _plain(value) for name, value in inner.items()}
    if any(plain[name] is not inner[name] for name in inner):
        sampler = copy.copy(sampler)
        vars(sampler).update(plain)
    if isinstance(sampler, optuna.samplers.CmaEsSampler) and not isinstance(sampler, PlainCmaEs):
        return PlainCmaEs.of(sampler)
    return sampler


def set_generators(sampler: BaseSampler, seed: int, trial: int) -> None:
    """Set a sampler's random generators from (study seed, trial number), so that no ask depends on earlier ones."""
    for index, state in enumerate(_generators(sampler, set())):
        state.rng.seed(np.random.SeedSequence([seed, trial, index]).generate_state(4))


def _generators(owner: Any, seen: set[int]) -> Iterator[LazyRandomState]:
    for name in sorted(vars(owner)):
        value = vars(owner)[name]
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, LazyRandomState):
            yield value
        elif isinstance(value, BaseSampler):
            yield from _generators(value, seen)


def _values(name: str, distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    if isinstance(distribution, IntDistribution):
        if distribution.log:
            raise _continuous(name, distribution)
        return list(range(distribution.low, distribution.high + 1, distribution.step))
    if isinstance(distribution, FloatDistribution) and distribution.step is not None:
        count = round((distribution.high - distribution.low) / distribution.step) + 1
        return [distribution.low + index * distribution.step for index in range(count)]
    raise _continuous(name, distribution)


def _continuous(name: str, distribution: BaseDistribution) -> InputError:
    return InputError(
        f"the grid sampler needs finite ranges, and {name!r} has none",
        distribution,
        "Use suggest_categorical, or a step; or another sampler.",
    )


def _with_extra(extra: str, package: str, make: Any) -> BaseSampler:
    try:
        __import__(package)
        sampler: BaseSampler = make()
    except ImportError:
        raise InputError(
            f"the sampler {extra!r} needs a package that is not installed",
            package,
            f"Install it: pip install 'tuner[{extra}]'.",
        ) from None
    return sampler
