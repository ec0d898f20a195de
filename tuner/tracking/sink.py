"""The port of tracking: a sink for what happened. It never stops a study and is never asked for the truth."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from tuner.tracking.records import Picture, StudyOutcome, StudyRecord, TrialRecord


class Sink(Protocol):
    """Takes what happens in a study. Every method returns at once; ``close`` waits for what is still to be written."""

    @property
    def problem(self) -> str | None:
        """The last problem in writing, in words; None where there was none."""

    @property
    def seconds(self) -> float:
        """What writing took behind the loop."""

    def study_started(self, study: StudyRecord, known: Sequence[TrialRecord] = ()) -> None:
        """A study begins or goes on. ``known``: its finished trials; each shall be shown exactly once."""

    def trial_started(self, trial: TrialRecord) -> None:
        """A trial begins, perhaps again under its number."""

    def epoch(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """A trial finished an epoch, counted from 1."""

    def trial_ended(self, trial: TrialRecord) -> None:
        """A trial is complete, pruned or failed."""

    def trial_requeued(self, number: int) -> None:
        """A trial was stopped and will run again: what it showed goes."""

    def study_counted(self, ended: int) -> None:
        """So many trials of the study have ended, here and elsewhere."""

    def training_ended(self, pictures: Sequence[Picture] = ()) -> None:
        """All trials have ended: what waits may be written at once, whatever it costs, and pictures be drawn."""

    def study_ended(
        self, outcome: StudyOutcome, metrics: Mapping[str, float], pictures: Sequence[Picture] = ()
    ) -> None:
        """The study's run ends. ``pictures``: what it is yet to show."""

    def close(self, timeout: float | None = None, idle: float | None = None) -> None:
        """Write what is still to be written, in ``timeout`` seconds at most, and not after ``idle`` ones in vain."""

    def run_id(self, number: int | None) -> str | None:
        """The id of a trial's run, or of the study's where ``number`` is None; None if there is none."""


class NullSink:
    """Tracks nothing."""

    problem: str | None = None
    seconds: float = 0.0

    def study_started(self, study: StudyRecord, known: Sequence[TrialRecord] = ()) -> None:
        """Nothing."""

    def trial_started(self, trial: TrialRecord) -> None:
        """Nothing."""

    def epoch(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """Nothing."""

    def trial_ended(self, trial: TrialRecord) -> None:
        """Nothing."""

    def trial_requeued(self, number: int) -> None:
        """Nothing."""

    def study_counted(self, ended: int) -> None:
        """Nothing."""

    def training_ended(self, pictures: Sequence[Picture] = ()) -> None:
        """Nothing."""

    def study_ended(
        self, outcome: StudyOutcome, metrics: Mapping[str, float], pictures: Sequence[Picture] = ()
    ) -> None:
        """Nothing."""

    def close(self, timeout: float | None = None, idle: float | None = None) -> None:
        """Nothing."""

    def run_id(self, number: int | None) -> str | None:
        """None."""
        del number
        return None


class MemorySink(NullSink):
    """Keeps everything, for tests and for looking at a study from Python."""

    def __init__(self) -> None:
        self.study: StudyRecord | None = None
        self.trials: dict[int, TrialRecord] = {}
        self.epochs: dict[int, dict[int, dict[str, float]]] = {}
        self.outcome: StudyOutcome | None = None
        self.metrics: dict[str, float] = {}
        self.pictures: list[Picture] = []
        self.closed = False

    def study_started(self, study: StudyRecord, known: Sequence[TrialRecord] = ()) -> None:
        """Keep the study; trials that are not known are forgotten."""
        self.study = study
        self.trials = {trial.number: trial for trial in known}
        self.epochs = {t.number: {i: dict(row) for i, row in enumerate(t.history, 1)} for t in known}

    def trial_started(self, trial: TrialRecord) -> None:
        """Keep the trial, and nothing of an earlier start."""
        self.trials[trial.number] = trial
        self.epochs[trial.number] = {}

    def epoch(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """Keep the epoch's metrics."""
        self.epochs.setdefault(number, {})[epoch] = dict(metrics)

    def trial_ended(self, trial: TrialRecord) -> None:
        """Keep the trial as it ended."""
        self.trials[trial.number] = trial
        told = self.epochs.setdefault(trial.number, {})
        for epoch, row in enumerate(trial.history, 1):
            told[epoch] = {**row, **told.get(epoch, {})}

    def trial_requeued(self, number: int) -> None:
        """Forget the trial."""
        self.trials.pop(number, None)
        self.epochs.pop(number, None)

    def training_ended(self, pictures: Sequence[Picture] = ()) -> None:
        """Keep the pictures."""
        self.pictures.extend(pictures)

    def study_ended(
        self, outcome: StudyOutcome, metrics: Mapping[str, float], pictures: Sequence[Picture] = ()
    ) -> None:
        """Keep the outcome and the pictures."""
        self.outcome, self.metrics = outcome, dict(metrics)
        self.pictures.extend(pictures)

    def close(self, timeout: float | None = None, idle: float | None = None) -> None:
        """Remember that it was closed."""
        del timeout, idle
        self.closed = True


class CompositeSink:
    """Tells several sinks. Run ids are the first sink's that has one."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self.sinks = tuple(sinks)

    @property
    def problem(self) -> str | None:
        """The first problem that any sink has."""
        return next((sink.problem for sink in self.sinks if sink.problem), None)

    @property
    def seconds(self) -> float:
        """What writing took all of them."""
        return sum(sink.seconds for sink in self.sinks)

    def study_started(self, study: StudyRecord, known: Sequence[TrialRecord] = ()) -> None:
        """Tell all."""
        for sink in self.sinks:
            sink.study_started(study, known)

    def trial_started(self, trial: TrialRecord) -> None:
        """Tell all."""
        for sink in self.sinks:
            sink.trial_started(trial)

    def epoch(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """Tell all."""
        for sink in self.sinks:
            sink.epoch(number, epoch, metrics)

    def trial_ended(self, trial: TrialRecord) -> None:
        """Tell all."""
        for sink in self.sinks:
            sink.trial_ended(trial)

    def trial_requeued(self, number: int) -> None:
        """Tell all."""
        for sink in self.sinks:
            sink.trial_requeued(number)

    def study_counted(self, ended: int) -> None:
        """Tell all."""
        for sink in self.sinks:
            sink.study_counted(ended)

    def training_ended(self, pictures: Sequence[Picture] = ()) -> None:
        """Tell all."""
        for sink in self.sinks:
            sink.training_ended(pictures)

    def study_ended(
        self, outcome: StudyOutcome, metrics: Mapping[str, float], pictures: Sequence[Picture] = ()
    ) -> None:
        """Tell all."""
        for sink in self.sinks:
            sink.study_ended(outcome, metrics, pictures)

    def close(self, timeout: float | None = None, idle: float | None = None) -> None:
        """Close all."""
        for sink in self.sinks:
            sink.close(timeout, idle)

    def run_id(self, number: int | None) -> str | None:
        """The first id that a sink has."""
        return next((found for sink in self.sinks if (found := sink.run_id(number))), None)
