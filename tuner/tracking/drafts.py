"""What is still to be written of each trial: events folded into plain data, with no MLflow in sight."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from tuner.tracking.records import Picture, StudyOutcome, StudyRecord, TrialRecord

VALUE = "value"
"""The metric that holds a trial's value."""


@dataclass
class Draft:
    """What is still to be written of one trial.

    Attributes:
        record: the trial as it was last told; None where only epochs came.
        points: by metric and epoch, the value and when it was measured (milliseconds).
        restart: a run of an earlier start has to go first.
        gone: nothing is to be written after that.
    """

    record: TrialRecord | None = None
    points: dict[tuple[str, int], tuple[float, int]] = field(default_factory=dict)
    restart: bool = False
    gone: bool = False


class Drafts:
    """The drafts of all trials that something happened to."""

    def __init__(self) -> None:
        self.waiting: dict[int, Draft] = {}

    def started(self, trial: TrialRecord) -> None:
        """A trial begins: whatever it showed before goes."""
        self.waiting[trial.number] = Draft(trial, restart=True)

    def epoch(self, number: int, epoch: int, metrics: Mapping[str, float], moment: int) -> None:
        """A trial finished an epoch."""
        draft = self.waiting.setdefault(number, Draft())
        if not draft.gone:
            draft.points.update({(key, epoch): (value, moment) for key, value in metrics.items()})

    def ended(self, trial: TrialRecord) -> None:
        """A trial ended; epochs that were not told one by one are taken from its history."""
        draft = self.waiting.setdefault(trial.number, Draft())
        before = {} if draft.record is None else draft.record.tags
        draft.record, draft.gone = replace(trial, tags={**before, **trial.tags}), False
        moment = trial.started if trial.ended is None else trial.ended
        for epoch, row in enumerate(trial.history, 1):
            for key, value in row.items():
                draft.points.setdefault((key, epoch), (value, moment))
        if trial.value is not None:
            last = max((epoch for _, epoch in draft.points), default=len(trial.history))
            draft.points[VALUE, last] = (trial.value, moment)

    def requeued(self, number: int) -> None:
        """A trial will run again later: its run goes."""
        self.waiting[number] = Draft(restart=True, gone=True)


@dataclass(frozen=True)
class StudyStart:
    """A study begins; ``known`` are its finished trials, ``token`` tells this start from any other."""

    study: StudyRecord
    known: Sequence[TrialRecord]
    token: object = field(default_factory=object, compare=False)


@dataclass(frozen=True)
class StudyEnd:
    """A study ends, at ``moment`` (milliseconds)."""

    outcome: StudyOutcome
    metrics: Mapping[str, float]
    moment: int
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True)
class Pictures:
    """Pictures of a study whose trials have ended."""

    pictures: Sequence[Picture]


TrialEvent: TypeAlias = Callable[[Drafts], None]
Event: TypeAlias = StudyStart | Pictures | StudyEnd | TrialEvent
Step: TypeAlias = StudyStart | Pictures | StudyEnd | Drafts


def fold(events: Iterable[Event]) -> list[Step]:
    """The steps that write these events: all that happened to trials between two events of the study is one step."""
    steps: list[Step] = []
    for event in events:
        if isinstance(event, StudyStart | Pictures | StudyEnd):
            steps.append(event)
            continue
        last = steps[-1] if steps else None
        if not isinstance(last, Drafts):
            last = Drafts()
            steps.append(last)
        event(last)
    return steps
