"""Looking at a search space without training: seeded draws, each range's ends and every category."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution

from tuner.errors import InputError
from tuner.experiment.loading import describe

DRAWS = 20

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
        raise InputError("the search space raises", describe(error, _file_of(search_space)), "Mend it.") from error
    if not isinstance(returned, Mapping) or not all(isinstance(name, str) for name in returned):
        raise InputError(
            "the search space returns no mapping from names to values",
            returned,
            "Return dict(learning_rate=..., batch_size=...), say.",
        )
    return dict(returned)


def sampled(search_space: SearchSpace) -> tuple[list[dict[str, Any]], dict[str, BaseDistribution]]:
    """Hyperparameters to check: 20 seeded draws, then each range's ends and every category of what they asked for.

    Returns:
        The mappings that the search space returned, and the distributions it draws from, by name.

    Raises:
        InputError: the search space fails for one of them.
    """
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found: list[dict[str, Any]] = []
    distributions: dict[str, BaseDistribution] = {}

    def draw() -> None:
        trial = study.ask()
        found.append(resolve(search_space, trial))
        distributions.update(trial.distributions)

    for _ in range(DRAWS):
        draw()
    for name, distribution in list(distributions.items()):
        for value in _corners(distribution):
            study.enqueue_trial({name: value})
            draw()
    return found, distributions


def _corners(distribution: BaseDistribution) -> Iterator[Any]:
    if isinstance(distribution, CategoricalDistribution):
        yield from distribution.choices
    else:
        yield distribution.low  # type: ignore[attr-defined]
        yield distribution.high  # type: ignore[attr-defined]


def _file_of(function: Any) -> Path | None:
    code = getattr(function, "__code__", None)
    return Path(code.co_filename) if code is not None else None
