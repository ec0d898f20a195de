"""What tracking shows of a study, from nothing but its database."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import optuna
from optuna.trial import TrialState

from tuner.study.record import BEST, StudyMemory
from tuner.study.result import best_trial
from tuner.study.storage import without_password
from tuner.study.stored import known, milliseconds, trial_record
from tuner.tracking import DatasetRecord, Picture, StudyOutcome, StudyRecord, TrialRecord

Draw: TypeAlias = Callable[[optuna.Study, StudyMemory], Sequence[Picture]]
"""What describes the pictures of a study as it stands; they are drawn later."""


@dataclass(frozen=True)
class ConfusionMatrix:
    """How often a row of each class was taken for each class.

    Attributes:
        labels: what the classes are called.
        counts: [true class][predicted class].
        title: what was measured.
    """

    labels: Sequence[str]
    counts: Sequence[Sequence[int]]
    title: str


def study_record(study: optuna.Study, memory: StudyMemory, storage_url: str) -> StudyRecord:
    """A study as tracking shows it."""
    return StudyRecord(
        study=study.study_name,
        experiment=memory.experiment,
        tags=memory.shown.origin
        | {
            "tuner.seed": str(memory.seed),
            "tuner.file": memory.file or "",
            "tuner.storage": without_password(storage_url),
            "tuner.direction": study.direction.name.lower(),
            "tuner.metric": memory.metric,
        },
        key=memory.key,
        parameters=memory.shown.parameters | {"parallel_trials": memory.parallel_trials, "seed": memory.seed},
        dataset=_dataset_of(memory.shown.dataset),
        description=f"Study {study.study_name}: {memory.experiment}, {memory.metric} over the folds.",
        started=_started(study),
    )


def _started(study: optuna.Study) -> int:
    """When the first trial began, else now, in milliseconds since the epoch: tracking may hear of it much later."""
    begun = [trial.datetime_start for trial in study.get_trials(deepcopy=False) if trial.datetime_start is not None]
    return milliseconds(min(begun, default=None)) or int(time.time() * 1000)


def _dataset_of(shown: dict[str, Any]) -> DatasetRecord | None:
    names = ("name", "source", "digest", "profile")
    return DatasetRecord(*(shown[name] for name in names)) if set(names) <= shown.keys() else None


def finished_trials(study: optuna.Study, memory: StudyMemory) -> list[TrialRecord]:
    """All trials that have finished, as tracking shows them."""
    curves = None if memory.shown.curves is None else frozenset(memory.shown.curves)
    trials = study.get_trials(deepcopy=False)
    return [trial_record(trial, memory.metric, curves) for trial in trials if trial.state.is_finished()]


def last_metrics(study: optuna.Study, memory: StudyMemory) -> dict[str, float]:
    """What the study's run shows when it ends: the best value, and the mean of its refits on the test rows."""
    best = best_trial(study)
    metrics = {} if best is None or best.value is None else {"best_value": best.value}
    test = known(study, BEST).get("test")
    return metrics | ({f"test_{memory.metric}": sum(test) / len(test)} if test else {})


def confusion_of(study: optuna.Study, memory: StudyMemory) -> ConfusionMatrix | None:
    """The confusion matrix of the best trial on the test rows; None where there is none."""
    counts, labels = known(study, BEST).get("confusion"), memory.shown.labels
    if counts is None or labels is None:
        return None
    rows, hits = sum(map(sum, counts)), sum(row[index] for index, row in enumerate(counts))
    return ConfusionMatrix(labels, counts, f"{memory.experiment}: {hits} of {rows} test rows right")


def outcome_of(study: optuna.Study) -> StudyOutcome:
    """How a study that nobody runs stands."""
    states = [trial.state for trial in study.get_trials(deepcopy=False)]
    if TrialState.WAITING in states or TrialState.RUNNING in states:
        return "interrupted"
    return "finished" if TrialState.COMPLETE in states or TrialState.PRUNED in states else "failed"
