"""The rules of the trainer's own hyperparameters."""

import math
import re

import numpy as np
import optax
import pytest

from tuner.data import Spec
from tuner.errors import InputError
from tuner.training.settings import (
    FLOATS,
    LOSSES,
    OPTIMIZERS,
    SCHEDULES,
    SETTINGS,
    check_settings,
    of_programs,
    setting,
    without_effect,
)

IMAGES = Spec((8, 8, 1), 3, "classification")
BROKEN = {
    "learning_rate": [0, 0.0, -1e-3, math.nan, math.inf, True, "fast", None, [0.1], 1j],
    "batch_size": [0, -4, 2.0, 32.5, True, "32", None, math.nan],
    "optimizer": ["adamm", "", None, 3, ["adam"], "ADAM"],
    "nesterov": [None, 1, "yes"],
    "loss": ["hubert", 1, ["huber"]],
    "huber_delta": [0, -1, math.inf, None, True],
    "class_weights": ["ballanced", [], [1.0, 0.0], [1.0, "2"], [1.0, math.nan], 2.0, True],
    "patience": [0, -1, 2.0, True, "3"],
    "mixup": [0, -0.2, math.inf, True],
    "random_shift": [-0.1, 1, 1.0, True, "a"],
    "random_flip": [None, 1, "yes"],
    "momentum": [-0.1, 1, 1.0, 1.5, math.nan, True, "0.9"],
    "weight_decay": [-1e-9, math.nan, math.inf, False, "no"],
    "l1": [-1e-9, math.nan, math.inf, True],
    "l2": [-1e-9, math.nan, -math.inf, True],
    "label_smoothing": [-0.1, 1, 1.2, math.nan, True],
    "gradient_clip": [0, -1, math.inf, math.nan, True],
    "schedule": ["cos", "step", None, 1],
    "warmup": [-0.1, 1, 5, math.nan, True],
}
FINE = {
    "learning_rate": [1, 1e-9, 3.0, np.float64(0.1), np.float32(0.1)],
    "batch_size": [1, 32, np.int64(8)],
    "optimizer": [*OPTIMIZERS, optax.adabelief],
    "nesterov": [True, False],
    "loss": [None, *LOSSES],
    "huber_delta": [1, 0.1],
    "class_weights": [None, "balanced", [1.0, 2, 0.5], (np.float32(1), 2.0, 3.0)],
    "patience": [None, 1, np.int64(5)],
    "mixup": [None, 0.2, 1],
    "random_shift": [None, 0, 0.25],
    "random_flip": [True, False],
    "momentum": [None, 0, 0.0, 0.999],
    "weight_decay": [None, 0, 10.0],
    "l1": [None, 0, 10.0],
    "l2": [None, 0, 10.0],
    "label_smoothing": [None, 0, 0.99],
    "gradient_clip": [None, 1e-9, 100],
    "schedule": SCHEDULES,
    "warmup": [None, 0, 0.99],
}


def test_every_setting_is_tried():
    assert set(BROKEN) == set(FINE) == set(SETTINGS)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BROKEN.items() for value in values])
def test_a_broken_rule_is_told_with_its_name_and_value(name, value):
    shown = value if isinstance(value, str) else repr(value)
    with pytest.raises(InputError, match=re.escape(f"{name!r} must be {SETTINGS[name].rule}: {shown}. ")) as error:
        check_settings({name: value}, IMAGES, 1000)
    assert error.value.value == shown
    assert error.value.fix.startswith("Change the search space.")


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in FINE.items() for value in values])
def test_what_keeps_the_rule_passes(name, value):
    check_settings({name: value}, IMAGES, 1000)


def test_defaults_pass_and_are_read():
    check_settings({}, IMAGES, 32)
    assert setting({}, "optimizer") == "adamw"
    assert setting({}, "momentum") is None
    assert setting({"momentum": 0.5}, "momentum") == 0.5


def test_a_wrong_name_is_told_the_nearest_and_a_wrong_number_is_not():
    for changes, fix in (
        ({"optimizer": "adamm"}, "Change the search space. Did you mean 'adam'?"),
        ({"schedule": "cosin"}, "Change the search space. Did you mean 'cosine'?"),
        ({"optimizer": "zzz"}, "Change the search space. Known names: adam, adamw, lion, rmsprop, sgd."),
        ({"learning_rate": "fast"}, "Change the search space."),
        ({"batch_size": "32"}, "Change the search space."),
    ):
        with pytest.raises(InputError) as error:
            check_settings(changes, IMAGES, 1000)
        assert error.value.fix == fix


def test_a_batch_larger_than_a_fold_is_refused():
    check_settings({"batch_size": 10}, IMAGES, 10)
    with pytest.raises(InputError, match=r"smallest fold, which has 9 training rows: batch_size=10\."):
        check_settings({"batch_size": 10}, IMAGES, 9)
    with pytest.raises(InputError, match="batch_size=32"):
        check_settings({}, IMAGES, 31)


def test_the_traced_ones_are_floats():
    others = {"batch_size", "optimizer", "schedule", "nesterov", "loss", "class_weights", "patience", "random_flip"}
    assert set(SETTINGS) - FLOATS == others


def test_what_does_not_fit_the_data_is_refused():
    with pytest.raises(InputError, match="one number for each of the 3 classes"):
        check_settings({"class_weights": [1.0, 2.0]}, IMAGES, 1000)
    check_settings({"class_weights": [1.0, 2.0]}, Spec((8, 8), 1, "classification"), 1000)
    for given in ({"random_shift": 0.1}, {"random_flip": True}):
        with pytest.raises(InputError, match="needs images"):
            check_settings(given, Spec((8,), 3, "classification"), 1000)
    check_settings({"random_flip": False}, Spec((8,), 3, "classification"), 1000)


@pytest.mark.parametrize(
    ("given", "task", "expected"),
    [
        ({"momentum": 0.9}, "classification", ["momentum (with adamw)"]),
        ({"momentum": 0.9, "optimizer": "sgd", "nesterov": True}, "classification", []),
        ({"momentum": 0.9, "optimizer": "rmsprop"}, "classification", []),
        ({"momentum": None, "nesterov": False}, "classification", []),
        ({"nesterov": True, "optimizer": "sgd"}, "classification", ["nesterov (without momentum)"]),
        ({"momentum": 0.9, "optimizer": optax.adabelief}, "classification", ["momentum (with adabelief)"]),
        ({"label_smoothing": 0.1, "class_weights": "balanced"}, "classification", []),
        ({"label_smoothing": 0.1}, "regression", ["label_smoothing (in a regression)"]),
        ({"loss": "huber", "huber_delta": 2.0}, "regression", []),
        ({"huber_delta": 2.0}, "regression", ["huber_delta (without loss='huber')"]),
        ({"loss": "huber"}, "classification", ["loss (in a classification)"]),
    ],
)
def test_what_is_given_and_not_used_is_told(given, task, expected):
    assert list(without_effect(given, Spec((8,), 3, task))) == expected


def test_no_program_knows_of_patience():
    assert of_programs({"patience": 3, "learning_rate": 0.1}) == {"learning_rate": 0.1}
