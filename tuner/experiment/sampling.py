"""Looking at a search space without training: seeded draws, each range's ends and every category."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial

from tuner.errors import InputError
from tuner.experiment.loading import describe, file_of

DRAWS = 20
_DEPTH = 3  # ends of branches that no draw took, but an end or a category did

SearchSpace = Callable[[Any], Mapping[str, Any]]


def resolve(search_space: SearchSpace, trial: Any) -> dict[str, Any]:
    """What the search space returns for a trial.

    Raises:
        InputError: it raises, or returns no mapping from names to values.
    """
    try:
        returned = search_space(trial)
    except InputError:
        raise
    except Exception as error:
        raise InputError("the search space raises", describe(error, file_of(search_space)), "Mend it.") from error
    if not isinstance(returned, Mapping) or not all(isinstance(name, str) for name in returned):
        raise InputError(
            "the search space returns no mapping from names to values",
            returned,
            "Return dict(learning_rate=..., batch_size=...), say.",
        )
    return dict(returned)


class Sampled(NamedTuple):
    """What a search space showed of itself.

    draws: the mappings that it returned. distributions: that it draws from, by name. ends: by name, the draws that
    differ in it alone, and in what follows from it. conditional: names that some of the seeded draws lack.
    """

    draws: list[dict[str, Any]]
    distributions: dict[str, BaseDistribution]
    ends: dict[str, list[dict[str, Any]]]
    conditional: frozenset[str]


def sampled(search_space: SearchSpace) -> Sampled:
    """Hyperparameters to check: 20 seeded draws, then each range's ends and every category of what they asked for.

    An end of a range is tried beside the other values of the first draw that asked for it, so in a branch that has it.

    Raises:
        InputError: the search space fails for one of them.
    """
    found: list[dict[str, Any]] = []
    first: dict[str, optuna.Trial] = {}
    ends: dict[str, list[dict[str, Any]]] = {}
    sampler = _Told(seed=0)
    study = silent_study(sampler)

    def draw() -> None:
        trial = study.ask()
        found.append(resolve(search_space, trial))
        for name in trial.distributions:
            first.setdefault(name, trial)

    for _ in range(DRAWS):
        draw()
    seeded = [trial.distributions.keys() for trial in study.trials]
    tried: set[str] = set()
    for _ in range(_DEPTH):
        for name in [name for name in first if name not in tried]:
            tried.add(name)
            params, distributions = first[name].params, first[name].distributions
            for value in _corners(distributions[name]):
                sampler.told = {key: (distributions[key], params[key]) for key in params}
                sampler.told[name] = (distributions[name], value)
                draw()
                ends.setdefault(name, []).append(found[-1])
    distributions = {name: trial.distributions[name] for name, trial in first.items()}
    conditional = frozenset(name for name in distributions if any(name not in names for names in seeded))
    return Sampled(found, distributions, ends, conditional)


class _Told(optuna.samplers.RandomSampler):
    """Draws the values that it is told, where the distribution is the one that they belong to; else at random."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.told: dict[str, tuple[BaseDistribution, Any]] = {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        distribution, value = self.told.get(param_name, (None, None))
        if distribution == param_distribution:
            return value
        return super().sample_independent(study, trial, param_name, param_distribution)


def silent_study(sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    """A study in memory, without Optuna's announcement of it."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(sampler=sampler)
    finally:
        optuna.logging.set_verbosity(verbosity)


def _corners(distribution: BaseDistribution) -> Iterator[Any]:
    if isinstance(distribution, CategoricalDistribution):
        yield from distribution.choices
    else:
        yield distribution.low  # type: ignore[attr-defined]
        yield distribution.high  # type: ignore[attr-defined]
