"""Trials that run: what the loop knows of them, and how one that was kept goes on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import optuna
from optuna.trial import TrialState

from tuner.experiment import resolve
from tuner.experiment.sampling import SearchSpace
from tuner.lanes.results import EpochResult
from tuner.study.checkpoints import Checkpoint
from tuner.study.record import History
from tuner.study.storage import RUNG, Storage, report_epochs, requeue


@dataclass
class Running:
    """A trial that was asked for and has not ended; ``patience`` is that of its early stopping."""

    trial: optuna.Trial
    started: int
    history: History
    patience: int | None = None


def roll_back(study: optuna.Study, checkpoint: Checkpoint) -> None:
    """Put the trials back to waiting that have ended since a checkpoint: what came after it is done once more."""
    storage = cast("Storage", study._storage)
    for trial in study.get_trials(deepcopy=False):
        if trial.state.is_finished() and trial.number not in checkpoint.ended:
            requeue(storage, trial, ended=True)


def take(study: optuna.Study, number: int) -> optuna.Trial | None:
    """A trial that waits, running again with its parameters; None where it does not wait any more."""
    storage = cast("Storage", study._storage)
    trials = study.get_trials(deepcopy=False)
    if number >= len(trials) or trials[number].state != TrialState.WAITING:
        return None
    trial_id = trials[number]._trial_id
    if not storage.set_trial_state_values(trial_id, TrialState.RUNNING):
        return None
    return optuna.Trial(study, trial_id)


def report_again(study: optuna.Study, trial: optuna.Trial, history: History, rungs: Mapping[str, Any]) -> None:
    """Store what a trial had reported before it was put back to waiting, and what its pruner had noted."""
    storage, trial_id = cast("Storage", study._storage), trial._trial_id
    with storage.together():
        report_epochs(storage, [(trial_id, epoch, value) for epoch, value in enumerate(history.values, 1)])
        for name, value in rungs.items():
            storage.set_trial_system_attr(trial_id, name, value)


def rungs_of(study: optuna.Study, trial: optuna.Trial) -> dict[str, Any]:
    """What Optuna's pruners with rungs have noted of a trial; it goes when the trial is put back to waiting."""
    attributes = study._storage.get_trial(trial._trial_id).system_attrs
    return {name: value for name, value in attributes.items() if name.startswith(RUNG)}


def hyperparameters_of(study: optuna.Study, search_space: SearchSpace, number: int) -> Mapping[str, Any]:
    """What the search space returned for a trial of the study."""
    trial = study.get_trials(deepcopy=False)[number]
    return resolve(search_space, optuna.trial.FixedTrial(trial.params, number))


def divergence(result: EpochResult, metric: str) -> str | None:
    """Why a trial cannot go on: a loss, or the objective, that is no finite number; None where all are."""
    judged = {"training loss": result.train_loss, "loss": result.metrics["loss"], metric: result.metrics[metric]}
    for name, values in judged.items():
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            return f"diverged: the {name} of fold {bad[0]} is {values[bad[0]]} after epoch {result.epoch}"
    return None
