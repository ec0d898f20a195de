"""Trials that run: what the loop knows of them, and how one that was kept goes on."""

import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from tuner.experiment import Experiment, resolve
from tuner.experiment.sampling import SearchSpace
from tuner.lanes.engine import Engine
from tuner.lanes.results import EpochResult
from tuner.lanes.snapshots import DoesNotFit, Snapshot
from tuner.study.checkpoints import Checkpoint, Kept
from tuner.study.record import History
from tuner.study.storage import RUNG, Storage, StudyFull, report_epochs
from tuner.training.settings import setting

log = logging.getLogger("tuner")


@dataclass
class Running:
    """A trial that was asked for and has not ended; ``patience`` is that of its early stopping."""

    trial: optuna.Trial
    started: int
    history: History
    patience: int | None = None


def roll_back(study: optuna.Study, checkpoint: Checkpoint) -> None:
    """Put the trials back to waiting that have ended since a checkpoint: what came after it is done once more."""
    storage, trials = cast("Storage", study._storage), study.get_trials(deepcopy=False)
    later = [trial for trial in trials if trial.state.is_finished() and trial.number not in checkpoint.ended]
    storage.requeue([trial._trial_id for trial in later], ended=True)


def kept_of(study: optuna.Study, running: Running, snapshot: Snapshot | None) -> Kept | None:
    """What a checkpoint holds of a trial; None where there is no snapshot."""
    if snapshot is None:
        return None
    history = copy.deepcopy(running.history)
    attributes = study._storage.get_trial(running.trial._trial_id).system_attrs
    rungs = {name: value for name, value in attributes.items() if name.startswith(RUNG)}
    return Kept(running.trial.number, running.started, history.folds, history.means, rungs, snapshot)


def taken(study: optuna.Study, number: int) -> optuna.Trial | None:
    """A trial that waits, running; None where it does not wait any more."""
    storage = cast("Storage", study._storage)
    trials = study.get_trials(deepcopy=False)
    if number >= len(trials) or trials[number].state != TrialState.WAITING:
        return None
    trial_id = trials[number]._trial_id
    try:
        moved = storage.set_trial_state_values(trial_id, TrialState.RUNNING)
    except (UpdateFinishedTrialError, StudyFull):
        return None
    return optuna.Trial(study, trial_id) if moved else None


def resumed(study: optuna.Study, experiment: Experiment, engine: Engine, trial: optuna.Trial, kept: Kept) -> Running:
    """A trial that runs again as it was kept."""
    hyperparameters = resolve(experiment.search_space, trial)
    history, rungs = History(experiment.metric, kept.folds, kept.means, experiment.curves), kept.rungs
    if not take_on(engine, kept.number, hyperparameters, kept.snapshot):
        history, rungs = History(experiment.metric, curves=experiment.curves), {}
    _report_again(study, trial, history, rungs)
    return Running(trial, kept.started, history, setting(hyperparameters, "patience"))


def take_on(engine: Engine, number: int, hyperparameters: Mapping[str, Any], snapshot: Snapshot | None) -> bool:
    """Give a trial to the engine, as it was where that fits; whether it does."""
    try:
        engine.add(number, hyperparameters, snapshot)
    except DoesNotFit as error:
        log.warning("trial %d starts over, what was kept of it does not fit: %s", number, error)
        engine.add(number, hyperparameters)
        return False
    return True


def _report_again(study: optuna.Study, trial: optuna.Trial, history: History, rungs: Mapping[str, Any]) -> None:
    """Store what a trial had reported before it was put back to waiting, and what its pruner had noted."""
    storage, trial_id = cast("Storage", study._storage), trial._trial_id
    with storage.together():
        report_epochs(storage, [(trial_id, epoch, value) for epoch, value in enumerate(history.values, 1)])
        for name, value in rungs.items():
            storage.set_trial_system_attr(trial_id, name, value)


def hyperparameters_of(trial: FrozenTrial, search_space: SearchSpace) -> dict[str, Any]:
    """What the search space returned for a trial."""
    return resolve(search_space, optuna.trial.FixedTrial(trial.params, trial.number))


def divergence(result: EpochResult, metric: str) -> str | None:
    """Why a trial cannot go on: a loss, or the objective, that is no finite number; None where all are."""
    judged = {"training loss": result.train_loss, "loss": result.metrics["loss"], metric: result.metrics[metric]}
    for name, values in judged.items():
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            return f"diverged: the {name} of fold {bad[0]} is {values[bad[0]]} after epoch {result.epoch}"
    return None
