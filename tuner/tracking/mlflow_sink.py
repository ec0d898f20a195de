"""The sink that shows a study in MLflow."""

import time
from collections.abc import Mapping, Sequence

from tuner.tracking.drafts import Pictures, StudyEnd, StudyStart
from tuner.tracking.records import Company, Picture, StudyOutcome, StudyRecord, TrialRecord
from tuner.tracking.writer import BackgroundWriter


class MlflowSink:
    """Shows a study in MLflow: a run for the study, and one below it for each trial.

    Every method but ``close`` only puts an event on a queue; one thread writes them in batches. What cannot be
    written is dropped and said in ``problem``: the database is the truth, and the next ``study_started`` writes what is
    missing.

    Args:
        tracking_uri: of an SQL store or a server.
        flush_seconds: how long events are collected before they are written; longer where writing takes long.
        company: the other workers of the study; None where there never is any.
    """

    def __init__(self, tracking_uri: str, flush_seconds: float = 1.0, company: Company | None = None) -> None:
        self._writer = BackgroundWriter(tracking_uri, flush_seconds, company)

    @property
    def problem(self) -> str | None:
        """The last problem in writing, in words; None where there was none."""
        return self._writer.problem

    @property
    def seconds(self) -> float:
        """The seconds that writing took, in its own thread."""
        return self._writer.seconds

    def study_started(self, study: StudyRecord, known: Sequence[TrialRecord] = ()) -> None:
        """Open the study's run; leave exactly one run for each known trial below it."""
        self._writer.put(StudyStart(study, tuple(known)))

    def trial_started(self, trial: TrialRecord) -> None:
        """Open the trial's run; one of an earlier start is deleted."""
        self._writer.put(lambda drafts: drafts.started(trial))

    def epoch(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """Log an epoch's metrics."""
        measured, moment = dict(metrics), _now()
        self._writer.put(lambda drafts: drafts.epoch(number, epoch, measured, moment))

    def trial_ended(self, trial: TrialRecord) -> None:
        """End the trial's run; what its history holds and was not logged is."""
        self._writer.put(lambda drafts: drafts.ended(trial))

    def trial_requeued(self, number: int) -> None:
        """Delete the trial's run."""
        self._writer.put(lambda drafts: drafts.requeued(number))

    def study_counted(self, ended: int) -> None:
        """Nothing: MLflow counts its runs."""

    def training_ended(self, pictures: Sequence[Picture] = ()) -> None:
        """Write what waits at once, then pictures."""
        self._writer.hurry()
        self._writer.put(Pictures(pictures))

    def study_ended(
        self, outcome: StudyOutcome, metrics: Mapping[str, float], pictures: Sequence[Picture] = ()
    ) -> None:
        """End the study's run."""
        self._writer.put(StudyEnd(outcome, dict(metrics), _now(), pictures))

    def close(self, timeout: float | None = None, idle: float | None = None) -> None:
        """Write what is still to be written, in ``timeout`` seconds at most, and not after ``idle`` ones in vain."""
        self._writer.close(timeout, idle)

    def run_id(self, number: int | None) -> str | None:
        """The id of a trial's run, or of the study's where ``number`` is None; None until it is written."""
        study = self._writer.study
        if number is None:
            return study.parent
        return None if study.runs is None else study.runs.ids.get(number)


def _now() -> int:
    return time.time_ns() // 1_000_000
