"""How parameters of a search space enter programs, and which the sampler treats apart."""

import optuna
import pytest

from tuner import Width, datasets, models
from tuner.experiment import arrays_of, check, notes_of
from tuner.experiment.space import footprint, samples_independently
from tuner.study.samplers import make_sampler

from .helpers import Plain, checked, flowers


def test_kinds():
    found = checked(
        lambda trial: {
            "hidden": [Width(trial.suggest_int("width", 3, 9), cap=16)] * trial.suggest_int("depth", 1, 2),
            "learning_rate": trial.suggest_float("rate", 1e-3, 1e-1, log=True),
            "batch_size": trial.suggest_categorical("batch", [8, 16]),
            "activation": trial.suggest_categorical("activation", ["relu", "tanh"]),
            "patience": trial.suggest_int("patience", 2, 5),
        },
        models.MLP,
    )
    assert found.kinds == {
        "width": "elastic",
        "depth": "static",
        "rate": "traced",
        "batch": "static",
        "activation": "static",
        "patience": "the loop's",
    }


def test_a_float_that_the_model_needs_is_static():
    found = checked(
        lambda trial: {"units": 4, "dropout": trial.suggest_float("dropout", 0.1, 0.5), "learning_rate": 0.1}, Plain
    )
    assert found.kinds == {"dropout": "static"}


@pytest.mark.parametrize(
    ("sampler", "independent"), [("tpe", False), ("random", False), ("grid", False), ("cmaes", True), ("gp", True)]
)
def test_who_samples_conditional_parameters_independently(sampler, independent):
    assert samples_independently(sampler) is independent
    if sampler not in {"grid", "gp"}:  # the first needs a grid, the second torch
        assert samples_independently(make_sampler(sampler, 0, {})) is independent


def test_optuna_s_own_default_samples_them_independently():
    assert samples_independently(optuna.samplers.TPESampler())


def test_conditional_parameters_are_told_where_the_sampler_treats_them_apart():
    def branching(trial):
        optimizer = trial.suggest_categorical("optimizer", ["sgd", "adam"])
        momentum = {"momentum": trial.suggest_float("momentum", 0.5, 0.9)} if optimizer == "sgd" else {}
        return {"optimizer": optimizer, **momentum, "learning_rate": trial.suggest_float("rate", 0.01, 0.1)}

    found = checked(branching, models.MLP, sampler="cmaes")
    assert found.independent == {"momentum"}
    assert "independently of the others: momentum" in notes_of(found)[0]
    assert checked(branching, models.MLP).independent == frozenset()
    assert notes_of(checked(branching, models.MLP)) == []


def test_what_is_given_and_not_used_is_told():
    found = checked(lambda trial: {"momentum": trial.suggest_float("momentum", 0.1, 0.9)}, models.MLP)
    assert notes_of(found) == ["given and not used by the trainer: momentum (with adamw)"]


def test_a_footprint_is_of_the_smallest_and_largest_draw():
    experiment = flowers(lambda trial: {"hidden": [Width(trial.suggest_int("width", 3, 9), cap=16)]}, models.MLP)
    arrays = arrays_of(experiment)
    found = footprint(check(experiment, arrays).draws, experiment, arrays)
    assert (found.least_parameters, found.most_parameters) == (8 * 3 + 3, 8 * 9 + 3)


def test_numbers_that_are_missing_are_told(tmp_path):
    rows = "".join(f"{row},{'' if row == 3 else row % 5},{row % 2}\n" for row in range(40))
    (tmp_path / "a.csv").write_text("a,b,y\n" + rows)
    found = checked(
        lambda trial: {"learning_rate": trial.suggest_float("rate", 0.01, 0.1), "batch_size": 8},
        models.MLP,
        data=datasets.csv(tmp_path / "a.csv", target="y"),
    )
    assert notes_of(found) == ["missing numbers of the table: 1, filled in by the mean of a fold's training rows"]
