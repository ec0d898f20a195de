"""``--set KEY=VALUE``: a field of the experiment by its dotted name, typed and checked."""

from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tuner.errors import InputError, nearest
from tuner.experiment.definition import Experiment

_FIELDS: dict[str, tuple[str, Any, str]] = {
    "data.limit": ("data_limit", int, "a whole number"),
    "data.rows_at_once": ("rows_at_once", int, "a whole number"),
    "epochs": ("epochs", int, "a whole number"),
    "folds": ("folds", int, "a whole number"),
    "metric": ("metric", str, "a metric's name"),
    "pruner": ("pruner", str, "a pruner's name"),
    "sampler": ("sampler", str, "a sampler's name"),
    "split_seed": ("split_seed", int, "a whole number"),
    "standardize": ("standardize", bool, "true or false"),
    "test_fraction": ("test_fraction", float, "a number"),
}


def override(experiment: Experiment, settings: Iterable[str]) -> Experiment:
    """The experiment with these ``KEY=VALUE`` settings.

    Raises:
        InputError: an unknown key, a value of another type, or one that the field refuses.
    """
    changes = dict(_parse(setting) for setting in settings)
    return experiment.replace(**changes) if changes else experiment


def _parse(setting: str) -> tuple[str, Any]:
    key, equals, text = setting.partition("=")
    if not equals:
        raise InputError("--set takes KEY=VALUE", setting, "Write --set epochs=5, say.")
    if key not in _FIELDS:
        raise InputError("--set names a field that does not exist", key, nearest(key, _FIELDS))
    field, kind, expected = _FIELDS[key]
    try:
        return field, TypeAdapter(kind).validate_strings(text)
    except ValidationError:
        raise InputError(f"--set {key} takes {expected}", text, f"Write --set {key}=VALUE with {expected}.") from None
