"""What happens in a study, as its database tells it: whoever trains a trial, and wherever, it is shown once."""

from datetime import datetime

import optuna
from optuna.trial import FrozenTrial

from tuner.experiment import Experiment
from tuner.study import StudyResult, result_of
from tuner.study.storage import open_storage
from tuner.study.stored import memory_in, trial_record
from tuner.tracking import Sink, StudyRecord


class View:
    """Shows a study that others run.

    Args:
        name: of the study, which need not exist yet.
        experiment: that it is of.
        storage: the database's URL.
        sink: what is told.

    Raises:
        InputError: the database cannot be used.
    """

    def __init__(self, name: str, experiment: Experiment, storage: str, sink: Sink) -> None:
        self._name, self._experiment, self._sink = name, experiment, sink
        self._storage = open_storage(storage, writable=False)
        self._study: optuna.Study | None = None
        self._shown: set[int] = set()

    def look(self) -> None:
        """Show what is new."""
        if self._study is None:
            self._begin()
            return
        self._storage.refresh(self._study._study_id)
        for trial in self._ended(self._study):
            self._shown.add(trial.number)
            self._sink.trial_ended(trial_record(trial, self._experiment.metric, self._experiment.curves))

    def result(self) -> StudyResult | None:
        """The study's result so far; None where it has not begun."""
        if self._study is None:
            return None
        memory = memory_in(self._study)
        return None if memory is None else result_of(self._study, memory)

    def _begin(self) -> None:
        if self._name not in self._storage.names():
            return
        self._study = optuna.load_study(study_name=self._name, storage=self._storage)
        known = self._ended(self._study)
        self._shown = {trial.number for trial in known}
        record = StudyRecord(
            self._name, self._experiment.name, tags={"tuner.direction": self._study.direction.name.lower()}
        )
        metric, curves = self._experiment.metric, self._experiment.curves
        self._sink.study_started(record, [trial_record(trial, metric, curves) for trial in known])

    def _ended(self, study: optuna.Study) -> list[FrozenTrial]:
        """The trials that have ended and were not shown, in the order in which they did."""
        trials = study.get_trials(deepcopy=False)
        new = [trial for trial in trials if trial.state.is_finished() and trial.number not in self._shown]
        return sorted(new, key=lambda trial: (trial.datetime_complete or datetime.max, trial.number))
