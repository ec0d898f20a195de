"""What the attributes of a study and of its trials hold, read with care: anybody can write to a database."""

import logging
import math
import re
from dataclasses import asdict
from functools import cache
from json import JSONDecodeError
from pathlib import PurePath
from typing import Annotated, Any, NotRequired

import optuna
from optuna.trial import FrozenTrial, TrialState
from pydantic import Field, Strict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from tuner.errors import InputError
from tuner.lanes.machine import device_kind
from tuner.lanes.snapshots import Snapshot
from tuner.study.record import (
    BEST,
    COST,
    COST_TOTAL,
    HISTORY,
    PLACEMENT,
    REASON,
    SEAT,
    STUDY,
    History,
    StudyMemory,
    state_name,
)
from tuner.study.storage import RESOLVED
from tuner.tracking import TrialRecord

_COPY = "Put the database back from a copy, or use another --study."

log = logging.getLogger("tuner")


Finite = Annotated[float, Field(allow_inf_nan=False)]
Number = Annotated[float, Strict()]  # no text that reads as one
Positive = Annotated[int, Strict(), Field(gt=0)]


class Best(TypedDict):
    """The best trial's number, its values on the test rows, their confusion matrix, its run in MLflow."""

    number: int
    test: NotRequired[list[Finite]]
    confusion: NotRequired[list[list[int]]]
    mlflow_run_id: NotRequired[str | None]


class CompiledProgram(TypedDict):
    """A program of a study, and why it was compiled."""

    caps: dict[str, int]
    batch_size: int
    static: NotRequired[dict[str, Any]]
    reason: str


class Cost(TypedDict):
    """What a run cost: seconds by phase, counts and shares. What an older study did not book is missing."""

    wall_seconds: Annotated[Finite, Field(gt=0)]
    startup: NotRequired[Finite]
    compile_wait: NotRequired[Finite]
    device_wait: NotRequired[Finite]
    sampling: NotRequired[Finite]
    placing: NotRequired[Finite]
    ask_tell: NotRequired[Finite]
    tracking_wait: NotRequired[Finite]
    checkpoint_wait: NotRequired[Finite]
    other: NotRequired[Finite]
    compilations: NotRequired[int]
    cache_hits: NotRequired[int]
    programs: NotRequired[int]
    compiled: NotRequired[list[CompiledProgram]]
    occupancy: NotRequired[Finite]
    mask_tax: NotRequired[Finite]
    background: NotRequired[dict[str, Finite]]


class Placement(TypedDict):
    """The program that trains a trial: caps by path, trials of a chunk, lanes of a vmap, devices and their kind."""

    caps: dict[str, Positive]
    chunk: Positive
    lanes_together: Positive
    devices: Positive
    device: str


class Seat(TypedDict):
    """Where a trial trains: the worker, which of its slots, and since when, in milliseconds since the epoch."""

    worker: Annotated[str, Strict()]
    slot: Annotated[int, Strict(), Field(ge=0)]
    since: Positive


class Measured(TypedDict):
    """What a trial measured: the objective by epoch and fold, and the means of the other metrics by epoch."""

    folds: list[list[Number]]
    means: dict[str, list[Number]]


_KINDS: dict[str, TypeAdapter[Any]] = {
    BEST: TypeAdapter(Best),
    COST: TypeAdapter(Cost),
    COST_TOTAL: TypeAdapter(Cost),
    HISTORY: TypeAdapter(Measured),
    PLACEMENT: TypeAdapter(Placement),
    SEAT: TypeAdapter(Seat),
    RESOLVED: TypeAdapter(dict[str, Any]),
    REASON: TypeAdapter(Annotated[str, Strict()]),
}
_MEMORY = TypeAdapter(StudyMemory)


def known(study: optuna.Study, name: str) -> dict[str, Any]:
    """What follows from a study's trials and is stored beside them; nothing, with a warning, where that is damaged."""
    stored = study.user_attrs.get(name)
    if stored is None:
        return {}
    try:
        return dict(_KINDS[name].validate_python(stored))
    except ValidationError as error:
        log.warning("the attribute %s of study %s is damaged and left out: %s", name, study.study_name, _first(error))
        return {}


def memory_in(study: optuna.Study) -> StudyMemory | None:
    """What a study remembers; None where it is not tuner's.

    Raises:
        InputError: it, or a trial, is damaged.
    """
    try:
        stored = study.user_attrs.get(STUDY)
        if stored is None:
            return None
        study.get_trials(deepcopy=False)
    except JSONDecodeError as error:
        what = "an attribute of the study or of its trials is no JSON"
        raise InputError(what, f"{study.study_name}: {error}", _COPY) from None
    try:
        memory = _MEMORY.validate_python(stored)
    except ValidationError as error:
        what = f"the attribute {STUDY} of study {study.study_name!r} is damaged"
        raise InputError(what, _first(error), _COPY) from None
    if not re.fullmatch("[0-9a-f]{32}", memory.key):  # it names a folder, which is removed with all that is in it
        raise InputError("the study's key is none that tuner gives", memory.key, _COPY)
    place = PurePath(memory.relative or "")
    if place.is_absolute() or ".." in place.parts:
        raise InputError("the study's experiment file is not in its project", str(place), _COPY)
    return memory


def attributes_of(memory: StudyMemory) -> dict[str, Any]:
    """What a study remembers, as its user attributes."""
    return {STUDY: asdict(memory)}


def measured(trial: FrozenTrial) -> Measured | None:
    """What a trial measured; None where it measured nothing, and, with a warning, where that is damaged."""
    found: Measured | None = _of_trial(trial, HISTORY)
    if found is None or not any(found.values()):
        return None
    problem = _inconsistent(found, complete=trial.state == TrialState.COMPLETE)
    if problem:
        _warn(trial._trial_id, trial.number, HISTORY, problem)
        return None
    return found


def _inconsistent(found: Measured, *, complete: bool) -> str | None:
    """What says that a history cannot be, though all in it are numbers; None where nothing does."""
    folds, means = found["folds"], found["means"]
    lanes = {len(values) for values in folds}
    if len(lanes) != 1 or lanes == {0} or any(len(values) != len(folds) for values in means.values()):
        return "not all epochs and folds are there"
    if complete and not all(math.isfinite(value) for values in folds for value in values):
        return "a complete trial has finite values"
    return None


def epochs_of(trial: FrozenTrial, planned: int) -> int:
    """The epochs that a trial was trained for: fewer than planned where it was stopped early."""
    found = measured(trial)
    return len(found["folds"]) if found else trial.last_step or planned


def trial_record(trial: FrozenTrial, metric: str, curves: frozenset[str] | None = None) -> TrialRecord:
    """A finished trial as tracking shows it, from nothing but the database."""
    found = measured(trial) or {"folds": [], "means": {}}
    return TrialRecord(
        number=trial.number,
        state=state_name(trial.state),  # type: ignore[arg-type]
        parameters=dict(trial.params),
        started=milliseconds(trial.datetime_start) or 0,
        ended=milliseconds(trial.datetime_complete),
        value=trial.value if trial.state == TrialState.COMPLETE else None,
        reason=reason_of(trial),
        history=History(metric, found["folds"], found["means"], curves).epochs(),
    )


def resolved_of(trial: FrozenTrial) -> dict[str, Any]:
    """What the search space returned for a trial, as JSON; nothing, with a warning, where that is damaged."""
    return dict(_of_trial(trial, RESOLVED) or {})


def reason_of(trial: FrozenTrial) -> str | None:
    """Why a trial failed or was pruned; None, with a warning, where that is damaged."""
    reason: str | None = _of_trial(trial, REASON)
    return reason


def placed_before(trial: FrozenTrial) -> Snapshot | None:
    """A trial at its beginning, in the program that trained it; None where that is not known, or no such device."""
    found: Placement | None = _of_trial(trial, PLACEMENT)
    if found is None or found["device"] != device_kind():
        return None
    return Snapshot(found["caps"], found["chunk"], found["lanes_together"], found["devices"])


def caps_of(trial: FrozenTrial) -> dict[str, int]:
    """The caps of the program that trained a trial, by path; none where it is not known."""
    found: Placement | None = _of_trial(trial, PLACEMENT)
    return {} if found is None else found["caps"]


def seat_of(trial: FrozenTrial) -> Seat | None:
    """Where a trial trained last; None where it never got lanes, and, with a warning, where that is damaged."""
    seat: Seat | None = _of_trial(trial, SEAT)
    return seat


def _of_trial(trial: FrozenTrial, name: str) -> Any:
    stored = trial.user_attrs.get(name)
    if stored is None:
        return None
    try:
        return _KINDS[name].validate_python(stored)
    except ValidationError as error:
        _warn(trial._trial_id, trial.number, name, _first(error))
        return None


@cache
def _warn(trial_id: int, number: int, name: str, problem: str) -> None:
    """Say it once: a trial is looked at many times."""
    del trial_id  # tells the trials of two studies apart
    log.warning("the attribute %s of trial %d is damaged and left out: %s", name, number, problem)


def save_memory(study: optuna.Study, memory: StudyMemory) -> None:
    """Store what a study remembers in it."""
    for name, value in attributes_of(memory).items():
        study.set_user_attr(name, value)


def milliseconds(moment: Any) -> int | None:
    """Since the epoch; None for none."""
    return None if moment is None else int(moment.timestamp() * 1000)


def _first(error: ValidationError) -> str:
    found = error.errors()[0]
    place = ".".join(str(part) for part in found["loc"])
    return f"{place + ': ' if place else ''}{found['msg']}"
