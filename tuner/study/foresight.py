"""The trials to come, where they depend on nothing that will be told: placement reckons with them."""

from collections.abc import Iterable
from typing import Any

import optuna
from optuna.samplers import BaseSampler

from tuner.errors import InputError
from tuner.experiment.sampling import SearchSpace, resolve, silent_study
from tuner.study.samplers import set_generators

MOST = 500  # trials to look ahead: more than a study's programs have to reckon with


def foreseen(
    sampler: BaseSampler, search_space: SearchSpace, seed: int, numbers: Iterable[int]
) -> dict[int, dict[str, Any]]:
    """The hyperparameters of trials that nobody has asked for yet, by number: those of a random sampler alone.

    Args:
        sampler: of the study; it is not touched.
        search_space: a function of a trial.
        seed: the study's.
        numbers: of the trials.
    """
    if type(sampler) is not optuna.samplers.RandomSampler:
        return {}
    twin, found = optuna.samplers.RandomSampler(), {}
    study = silent_study(twin)
    for number in numbers:
        set_generators(twin, seed, number)
        try:
            found[number] = resolve(search_space, study.ask())
        except InputError:  # that trial will fail by itself, with this message
            continue
    return found
