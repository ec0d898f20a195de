"""What tracking is told: plain data about a study and its trials."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal

TrialState = Literal["running", "complete", "pruned", "failed"]
StudyOutcome = Literal["finished", "interrupted", "failed"]


@dataclass(frozen=True)
class DatasetRecord:
    """A data set.

    Attributes:
        name: for people.
        source: the file or function that it came from.
        digest: of its contents, 36 characters at most.
        profile: what is in it.
    """

    name: str
    source: str
    digest: str
    profile: Mapping[str, Any]


@dataclass(frozen=True)
class StudyRecord:
    """A study.

    Attributes:
        study: its name.
        experiment: the MLflow experiment that it belongs to.
        tags: more about it.
        parameters: of the study: epochs, folds, sampler.
        description: for people.
        key: of the study alone, whatever its name and database: its run is found again by it.
        run_id: its run, where that is known already.
        dataset: that it is on.
        started: milliseconds since the epoch; None for the moment at which its run is made.
    """

    study: str
    experiment: str
    tags: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    key: str = ""
    run_id: str | None = None
    dataset: DatasetRecord | None = None
    started: int | None = None


@dataclass(frozen=True)
class Company:
    """The other workers of a study, as far as they concern tracking.

    Attributes:
        exclusive: makes a context that no two of them are in at once.
        alone: whether there is no other.
        finished: all finished trials of the study, as they are now.
    """

    exclusive: Callable[[], AbstractContextManager[None]]
    alone: Callable[[], bool]
    finished: Callable[[], Sequence["TrialRecord"]]


@dataclass(frozen=True)
class Picture:
    """A file for people, in the study's run.

    Attributes:
        name: of the file.
        content: makes it, behind the loop.
        last: whether it shows what is known only when the study ends.
    """

    name: str
    content: Callable[[], bytes]
    last: bool = False


@dataclass(frozen=True)
class TrialRecord:
    """A trial.

    Attributes:
        number: Optuna's.
        state: of the trial.
        parameters: Optuna's ``trial.params``.
        started: milliseconds since the epoch.
        ended: likewise; None while it runs.
        value: the objective; None unless complete.
        reason: why it failed, or where it was pruned.
        history: a mapping of metrics per epoch; the first is epoch 1.
        tags: more about it.
        again: whether it began before, perhaps elsewhere: what it showed then goes.
    """

    number: int
    state: TrialState
    parameters: Mapping[str, Any]
    started: int
    ended: int | None = None
    value: float | None = None
    reason: str | None = None
    history: Sequence[Mapping[str, float]] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    again: bool = False
