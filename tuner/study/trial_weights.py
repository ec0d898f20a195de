"""The weights of an earlier trial: nothing stores them, so the trial is trained once more."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from tuner.errors import InputError
from tuner.experiment import arrays_of, check, load_experiment, override
from tuner.hyperparameters import Width
from tuner.lanes.cache import cache_folder
from tuner.lanes.engine import Engine
from tuner.study.opening import experiment_reference, load_with_memory
from tuner.study.options import DEFAULT_STORAGE
from tuner.study.record import StudyMemory
from tuner.study.running import hyperparameters_of
from tuner.study.storage import without_password
from tuner.study.stored import epochs_of


@dataclass(frozen=True)
class TrialWeights:
    """The values of a trial, by name, for ``InitFrom``: trained once more, on all rows that are not test data.

    They follow from the study's seed and the trial's number, so they need not be stored; what was trained is kept in
    the user's cache folder.

    Args:
        study: its name.
        storage: where it is.
        number: of the trial; the best by default.
    """

    study: str
    storage: str = DEFAULT_STORAGE
    number: int | None = None

    def __repr__(self) -> str:
        """As a study remembers it in its fingerprint: without the password to the other one."""
        shown = without_password(self.storage)
        return f"TrialWeights(study={self.study!r}, storage={shown!r}, number={self.number!r})"

    def __call__(self) -> Mapping[str, np.ndarray]:
        """Train the trial, or read what was trained before.

        Raises:
            InputError: there is no such study or no such complete trial, or its experiment file is gone.
        """
        from safetensors.numpy import load_file, save_file

        study, memory = load_with_memory(self.study, self.storage)
        trial = self._trial(study)
        file = cache_folder() / "weights" / f"{memory.key}-{trial.number}.safetensors"
        if not file.is_file():
            found = self._trained(trial, memory)
            file.parent.mkdir(parents=True, exist_ok=True)
            beside = file.with_suffix(f".{os.getpid()}")
            save_file({name: np.ascontiguousarray(array) for name, array in found.items()}, beside)
            Path(beside).replace(file)
        weights: Mapping[str, np.ndarray] = load_file(file)
        return weights

    def _trial(self, study: optuna.Study) -> optuna.trial.FrozenTrial:
        complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        if not complete:
            raise InputError("the study has no complete trial", self.study, "Let it complete one first.")
        if self.number is None:
            return study.best_trial
        for trial in complete:
            if trial.number == self.number:
                return trial
        fix = f"Complete are {', '.join(str(trial.number) for trial in complete[:20])}."
        raise InputError(f"study {self.study!r} has no complete trial of this number", self.number, fix)

    def _trained(self, trial: optuna.trial.FrozenTrial, memory: StudyMemory) -> dict[str, np.ndarray]:
        experiment, _ = load_experiment(experiment_reference(self.study, memory))
        experiment = override(experiment, memory.settings)
        arrays = arrays_of(experiment)
        static = check(experiment, arrays).static
        hyperparameters = hyperparameters_of(trial, experiment.search_space)
        engine = Engine(experiment.model, arrays, slots=1, seed=memory.seed, static=static, deterministic=True)
        return engine.refit_weights(trial.number, exact(hyperparameters), epochs_of(trial, experiment.epochs))


def exact(value: Any) -> Any:
    """Hyperparameters whose widths have no room to spare."""
    match value:
        case Width(size=size):
            return Width(size, int(size))
        case Mapping():
            return {name: exact(item) for name, item in value.items()}
        case list() | tuple():
            return [exact(item) for item in value]
        case _:
            return value
