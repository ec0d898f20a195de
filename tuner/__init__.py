"""Hyperparameter tuning for JAX: all folds of many trials train together as lanes of one compiled program."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuner import models, nn
    from tuner.api import run
    from tuner.data import Dataset, datasets
    from tuner.errors import InputError
    from tuner.experiment import Experiment, InitFrom
    from tuner.hyperparameters import Width
    from tuner.study import Objective, StudyResult, TrialWeights
    from tuner.training import Metric, Task

_HOMES = {
    "Dataset": "tuner.data",
    "Experiment": "tuner.experiment",
    "InitFrom": "tuner.experiment",
    "InputError": "tuner.errors",
    "Metric": "tuner.training",
    "Objective": "tuner.study",
    "StudyResult": "tuner.study",
    "Task": "tuner.training",
    "TrialWeights": "tuner.study",
    "Width": "tuner.hyperparameters",
    "datasets": "tuner.data",
    "models": "tuner",
    "nn": "tuner",
    "run": "tuner.api",
}

__all__ = [
    "Dataset",
    "Experiment",
    "InitFrom",
    "InputError",
    "Metric",
    "Objective",
    "StudyResult",
    "Task",
    "TrialWeights",
    "Width",
    "datasets",
    "models",
    "nn",
    "run",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that the command line answers at once."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tuner' has no attribute {name!r}")
    home = _HOMES[name]
    if name in {"datasets", "models", "nn"}:
        return importlib.import_module(f"{home}.{name}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
