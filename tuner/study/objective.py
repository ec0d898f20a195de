"""A plain Optuna objective that gives the lanes' values, one trial at a time."""

import optuna

from tuner.experiment import Experiment, arrays_of, check, resolve
from tuner.lanes.engine import Engine
from tuner.study.record import HISTORY, History, jsonable
from tuner.study.running import divergence
from tuner.study.storage import RESOLVED
from tuner.training.settings import setting


class Diverged(RuntimeError):
    """A loss or the objective is no finite number any more."""


class Objective:
    """An experiment as an Optuna objective: ``study.optimize(Objective(experiment), n_trials=20)``.

    One trial at a time, all its folds together. Values are those of ``tuner.run`` with the same seed, trial numbers and
    hyperparameters; every epoch's mean over the folds is reported, and the study's own pruner is honoured.

    Args:
        experiment: what is tuned; its sampler and pruner are not used, the study's are.
        seed: of every training.

    Raises:
        InputError: the experiment cannot be trained.
    """

    def __init__(self, experiment: Experiment, seed: int = 0) -> None:
        self._experiment = experiment
        arrays = arrays_of(experiment)
        checked = check(experiment, arrays)
        self._check = arrays.check
        self._engine = Engine(experiment.model, arrays, slots=1, seed=seed, static=checked.static)

    def __call__(self, trial: optuna.Trial) -> float:
        """The mean over the folds of the metric at the last epoch.

        Raises:
            optuna.TrialPruned: the study's pruner ends the trial.
            Diverged: a loss is no finite number.
        """
        hyperparameters = resolve(self._experiment.search_space, trial)
        self._check(hyperparameters)
        trial.set_user_attr(RESOLVED, jsonable(hyperparameters))
        self._engine.add(trial.number, hyperparameters)
        for error in self._engine.seat().values():
            raise error
        try:
            return self._train(trial, setting(hyperparameters, "patience"))
        finally:
            self._engine.remove(trial.number)

    def _train(self, trial: optuna.Trial, patience: int | None) -> float:
        history = History(self._experiment.metric)
        for epoch in range(1, self._experiment.epochs + 1):
            result = self._engine.advance()[trial.number]
            if reason := divergence(result, self._experiment.metric):
                raise Diverged(reason)
            history.add(result.metrics, result.train_loss)
            trial.report(history.last, epoch)
            if history.is_stalled(patience, trial.study.direction):
                break
            if epoch < self._experiment.epochs and trial.should_prune():
                raise optuna.TrialPruned(f"pruned after epoch {epoch}")
        trial.set_user_attr(HISTORY, {"folds": history.folds, "means": history.means})
        return history.last
