"""The hyperparameters that the trainer itself reads, their defaults and what they may be."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tuner.data import Spec
from tuner.errors import InputError, nearest
from tuner.hyperparameters import Split, plain, split

OPTIMIZERS = ("adam", "adamw", "lion", "rmsprop", "sgd")
SCHEDULES = ("constant", "cosine", "linear", "one_cycle")
LOSSES = ("huber", "mean_squared_error")
_WITH_MOMENTUM = ("rmsprop", "sgd")


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


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _number(low: float, high: float, rule: str, default: float | None, *, open_low: bool = False) -> Setting:
    def holds(value: Any) -> bool:
        return _is_number(value) and (low < value if open_low else low <= value) and value < high

    return Setting(default, is_float=True, rule=rule, holds=holds, optional=default is None)


def _name(names: tuple[str, ...], default: str | None, *, or_function: bool = False) -> Setting:
    rule = f"one of {', '.join(names)}" + (", or a function of the learning rate" if or_function else "")

    def holds(value: Any) -> bool:
        return (or_function and callable(value)) or (isinstance(value, str) and value in names)

    return Setting(default, is_float=False, rule=rule, holds=holds, optional=default is None, names=names)


def _whole(default: int | None) -> Setting:
    rule = "a whole number of at least 1"
    return Setting(default, is_float=False, rule=rule, holds=_is_whole, optional=default is None)


def _switch() -> Setting:
    return Setting(default=False, is_float=False, rule="True or False", holds=lambda value: isinstance(value, bool))


def _are_class_weights(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) > 0 and all(_is_number(plain(weight)) and weight > 0 for weight in value)
    return isinstance(value, str) and value == "balanced"


SETTINGS: dict[str, Setting] = {
    "learning_rate": _number(0.0, math.inf, "a number above 0", 1e-3, open_low=True),
    "batch_size": _whole(32),
    "optimizer": _name(OPTIMIZERS, "adamw", or_function=True),
    "momentum": _number(0.0, 1.0, "a number from 0 to below 1", None),
    "nesterov": _switch(),
    "weight_decay": _number(0.0, math.inf, "a number of at least 0", None),
    "l1": _number(0.0, math.inf, "a number of at least 0", None),
    "l2": _number(0.0, math.inf, "a number of at least 0", None),
    "loss": _name(LOSSES, None),
    "huber_delta": _number(0.0, math.inf, "a number above 0", 1.0, open_low=True),
    "label_smoothing": _number(0.0, 1.0, "a number from 0 to below 1", None),
    "class_weights": Setting(
        None,
        is_float=False,
        rule="'balanced', or a list of numbers above 0, one a class",
        holds=_are_class_weights,
        optional=True,
    ),
    "gradient_clip": _number(0.0, math.inf, "a number above 0", None, open_low=True),
    "schedule": _name(SCHEDULES, "constant"),
    "warmup": _number(0.0, 1.0, "the warm-up's share of all steps, from 0 to below 1", None),
    "patience": _whole(None),
    "mixup": _number(0.0, math.inf, "a number above 0", None, open_low=True),
    "random_shift": _number(0.0, 1.0, "a share of the image's sides, from 0 to below 1", None),
    "random_flip": _switch(),
}

FLOATS = frozenset(name for name, setting in SETTINGS.items() if setting.is_float)
_FOR_THE_LOOP = frozenset({"patience"})
_FOR_CLASSES = ("label_smoothing", "class_weights")
_FOR_IMAGES = ("random_shift", "random_flip")


def setting(hyperparameters: Mapping[str, Any], name: str) -> Any:
    """The value of a trainer's hyperparameter, or its default (None where it is switched off)."""
    return hyperparameters.get(name, SETTINGS[name].default)


def of_programs(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters that programs know; ``patience`` is the loop's alone, and no program depends on it."""
    return {name: value for name, value in hyperparameters.items() if name not in _FOR_THE_LOOP}


def parts_of(hyperparameters: Mapping[str, Any], static: Iterable[str] = ()) -> Split:
    """A trial's hyperparameters as programs see them, in their two parts.

    Args:
        hyperparameters: what the search space returned.
        static: paths of floats that shall be static nevertheless.
    """
    return split(of_programs(hyperparameters), floats=FLOATS, static=static)


def check_settings(hyperparameters: Mapping[str, Any], spec: Spec, smallest_fold: int) -> None:
    """Check the trainer's hyperparameters of one trial.

    Args:
        hyperparameters: what the search space returned.
        spec: what the data is.
        smallest_fold: training rows of the smallest fold.

    Raises:
        InputError: a value breaks its rule or does not fit the data, or a batch is larger than a fold.
    """
    for name, known in SETTINGS.items():
        value = plain(hyperparameters.get(name, known.default))
        if (value is None and known.optional) or known.holds(value):
            continue
        close = f" {nearest(value, known.names)}" if known.names and isinstance(value, str) else ""
        raise InputError(f"the hyperparameter {name!r} must be {known.rule}", value, f"Change the search space.{close}")
    batch_size = setting(hyperparameters, "batch_size")
    if batch_size > smallest_fold:
        raise InputError(
            f"the batch is larger than the smallest fold, which has {smallest_fold} training rows",
            f"batch_size={batch_size}",
            "Lower batch_size in the search space, or use fewer folds.",
        )
    _check_fits(hyperparameters, spec)


def _check_fits(hyperparameters: Mapping[str, Any], spec: Spec) -> None:
    weights = setting(hyperparameters, "class_weights")
    if isinstance(weights, list | tuple) and spec.task == "classification" and len(weights) != max(spec.outputs, 2):
        what = f"class_weights must have one number for each of the {max(spec.outputs, 2)} classes"
        raise InputError(what, weights, "Give them in the order of the sorted labels, or 'balanced'.")
    is_image = len(spec.input_shape) in {2, 3}
    for name in _FOR_IMAGES:
        if setting(hyperparameters, name) and not is_image:
            fix = "Leave it out, or give inputs [rows, height, width, channels]."
            raise InputError(f"{name} needs images", f"examples of shape {spec.input_shape}", fix)


def without_effect(hyperparameters: Mapping[str, Any], spec: Spec) -> Iterator[str]:
    """What a trial's trainer is given and does not use, each with the reason."""
    given = {name for name, value in hyperparameters.items() if value is not None and value is not False}
    optimizer = setting(hyperparameters, "optimizer")
    if optimizer not in _WITH_MOMENTUM:
        shown = optimizer if isinstance(optimizer, str) else getattr(optimizer, "__name__", "the optimizer")
        yield from (f"{name} (with {shown})" for name in ("momentum", "nesterov") if name in given)
    elif "nesterov" in given and "momentum" not in given:
        yield "nesterov (without momentum)"
    if spec.task != "classification":
        yield from (f"{name} (in a {spec.task})" for name in _FOR_CLASSES if name in given)
    if spec.task != "regression":
        yield from (f"{name} (in a {spec.task})" for name in ("loss", "huber_delta") if name in given)
    elif "huber_delta" in given and setting(hyperparameters, "loss") != "huber":
        yield "huber_delta (without loss='huber')"
