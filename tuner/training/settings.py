"""The hyperparameters that the trainer itself reads, their defaults and what they may be."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tuner.errors import InputError, nearest
from tuner.hyperparameters import plain

OPTIMIZERS = ("adam", "adamw", "lion", "rmsprop", "sgd")
SCHEDULES = ("constant", "cosine", "linear")


@dataclass(frozen=True)
class Setting:
    """One of the trainer's hyperparameters: its default, whether it is a float, and the rule that it must keep.

    names: what it may be, where it is a name.
    """

    default: Any
    is_float: bool
    rule: str
    holds: Callable[[Any], bool]
    optional: bool = False
    names: tuple[str, ...] = ()


def _number(low: float, high: float, rule: str, default: float | None, *, open_low: bool = False) -> Setting:
    def holds(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return False
        return (low < value if open_low else low <= value) and value < high

    return Setting(default, is_float=True, rule=rule, holds=holds, optional=default is None)


def _name(names: tuple[str, ...], default: str) -> Setting:
    rule = f"one of {', '.join(names)}"
    return Setting(default, is_float=False, rule=rule, holds=lambda value: value in names, names=names)


SETTINGS: dict[str, Setting] = {
    "learning_rate": _number(0.0, math.inf, "a number above 0", 1e-3, open_low=True),
    "batch_size": Setting(
        32,
        is_float=False,
        rule="a whole number of at least 1",
        holds=lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 1,
    ),
    "optimizer": _name(OPTIMIZERS, "adamw"),
    "momentum": _number(0.0, 1.0, "a number from 0 to below 1", None),
    "weight_decay": _number(0.0, math.inf, "a number of at least 0", None),
    "l1": _number(0.0, math.inf, "a number of at least 0", None),
    "l2": _number(0.0, math.inf, "a number of at least 0", None),
    "label_smoothing": _number(0.0, 1.0, "a number from 0 to below 1", None),
    "gradient_clip": _number(0.0, math.inf, "a number above 0", None, open_low=True),
    "schedule": _name(SCHEDULES, "constant"),
    "warmup": _number(0.0, 1.0, "the warm-up's share of all steps, from 0 to below 1", None),
}

FLOATS = frozenset(name for name, setting in SETTINGS.items() if setting.is_float)


def setting(hyperparameters: Mapping[str, Any], name: str) -> Any:
    """The value of a trainer's hyperparameter, or its default (None where it is switched off)."""
    return hyperparameters.get(name, SETTINGS[name].default)


def check_settings(hyperparameters: Mapping[str, Any], smallest_fold: int) -> None:
    """Check the trainer's hyperparameters of one trial.

    Args:
        hyperparameters: what the search space returned.
        smallest_fold: training rows of the smallest fold.

    Raises:
        InputError: a value breaks its rule, or a batch is larger than a fold.
    """
    for name, known in SETTINGS.items():
        value = plain(hyperparameters.get(name, known.default))
        if value is None and known.optional:
            continue
        if not known.holds(value):
            close = f" {nearest(value, known.names)}" if known.names and isinstance(value, str) else ""
            raise InputError(
                f"the hyperparameter {name!r} must be {known.rule}", value, f"Change the search space.{close}"
            )
    batch_size = setting(hyperparameters, "batch_size")
    if batch_size > smallest_fold:
        raise InputError(
            f"the batch is larger than the smallest fold, which has {smallest_fold} training rows",
            f"batch_size={batch_size}",
            "Lower batch_size in the search space, or use fewer folds.",
        )
