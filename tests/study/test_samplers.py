"""Samplers by name; their random numbers depend on (study seed, trial number) alone."""

import builtins

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from tuner import InputError
from tuner.study.samplers import make_sampler, set_generators


def draw(sampler, number, seed=0):
    study = optuna.create_study(sampler=sampler)
    set_generators(sampler, seed, number)
    trial = study.ask()
    return trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)


@pytest.mark.parametrize("name", ["random", "tpe", "cmaes"])
def test_an_ask_depends_on_seed_and_number_alone(name):
    sampler = make_sampler(name, 0, {})
    first = draw(sampler, 5)
    draw(sampler, 6)
    assert draw(sampler, 5) == first
    assert draw(make_sampler(name, 0, {}), 5) == first
    assert draw(sampler, 6) != first
    assert draw(sampler, 5, seed=1) != first


def test_the_grid_needs_finite_ranges():
    grid = make_sampler(
        "grid",
        0,
        {"a": CategoricalDistribution([1, 2]), "b": IntDistribution(1, 3), "c": FloatDistribution(0, 1, step=0.5)},
    )
    assert len(grid) == 18
    with pytest.raises(InputError, match="learning_rate"):
        make_sampler("grid", 0, {"learning_rate": FloatDistribution(0, 1)})


def test_a_missing_package_is_named(monkeypatch):
    real = builtins.__import__

    def without_torch(name, *args, **kwargs):
        if name == "torch":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_torch)
    with pytest.raises(InputError, match=r"pip install 'tuner\[gp\]'"):
        make_sampler("gp", 0, {})
