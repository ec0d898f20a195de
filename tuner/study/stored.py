"""What a study's attributes hold, read with care: anybody can write to a database."""

import logging
from dataclasses import asdict
from typing import Annotated, Any, NotRequired

import optuna
from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from tuner.errors import InputError
from tuner.study.record import BEST, COST, COST_TOTAL, STUDY, StudyMemory

log = logging.getLogger("tuner")


class Best(TypedDict):
    """The best trial's number, its values on the test rows, their confusion matrix, its run in MLflow."""

    number: int
    test: NotRequired[list[float]]
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

    wall_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    startup: NotRequired[float]
    compile_wait: NotRequired[float]
    device_wait: NotRequired[float]
    sampling: NotRequired[float]
    placing: NotRequired[float]
    ask_tell: NotRequired[float]
    tracking_wait: NotRequired[float]
    checkpoint_wait: NotRequired[float]
    other: NotRequired[float]
    compilations: NotRequired[int]
    cache_hits: NotRequired[int]
    programs: NotRequired[int]
    compiled: NotRequired[list[CompiledProgram]]
    occupancy: NotRequired[float]
    mask_tax: NotRequired[float]
    background: NotRequired[dict[str, float]]


_KINDS: dict[str, TypeAdapter[Any]] = {
    BEST: TypeAdapter(Best),
    COST: TypeAdapter(Cost),
    COST_TOTAL: TypeAdapter(Cost),
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
        InputError: it is damaged.
    """
    stored = study.user_attrs.get(STUDY)
    if stored is None:
        return None
    try:
        memory = _MEMORY.validate_python(stored)
    except ValidationError as error:
        what = f"the attribute {STUDY} of study {study.study_name!r} is damaged"
        raise InputError(what, _first(error), "Put the database back from a copy, or use another --study.") from None
    if not memory.key.isalnum():
        raise InputError("the study's key is no word", memory.key, "Put the database back from a copy.")
    return memory


def attributes_of(memory: StudyMemory) -> dict[str, Any]:
    """What a study remembers, as its user attributes."""
    return {STUDY: asdict(memory)}


def save_memory(study: optuna.Study, memory: StudyMemory) -> None:
    """Store what a study remembers in it."""
    for name, value in attributes_of(memory).items():
        study.set_user_attr(name, value)


def _first(error: ValidationError) -> str:
    found = error.errors()[0]
    place = ".".join(str(part) for part in found["loc"])
    return f"{place + ': ' if place else ''}{found['msg']}"
