"""The study's database: Optuna's storage, opened with care, read from memory and written in batches."""

from collections.abc import Iterable, Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from tuner.study.storage.batched import Storage
from tuner.study.storage.leases import LeaseLost, Occupied
from tuner.study.storage.opening import close_databases, open_storage
from tuner.study.storage.tables import RESOLVED, RUNG, StudyFull
from tuner.study.storage.urls import check_storage_url, sqlite_file, without_password
from tuner.study.storage.writer import WriteFailed

__all__ = [
    "RESOLVED",
    "RUNG",
    "LeaseLost",
    "Occupied",
    "Storage",
    "StudyFull",
    "WriteFailed",
    "allow_stop",
    "check_storage_url",
    "close_databases",
    "is_stopped",
    "open_storage",
    "report_epochs",
    "requeue",
    "set_attributes",
    "sqlite_file",
    "without_password",
]


def report_epochs(storage: Storage, reports: Iterable[tuple[int, int, float]]) -> None:
    """Store intermediate values, (trial id, step, value) each, all in one transaction."""
    with storage.together():
        for trial_id, step, value in reports:
            storage.set_trial_intermediate_value(trial_id, step, value)


def set_attributes(storage: Storage, trial_id: int, attributes: Mapping[str, Any]) -> None:
    """Store user attributes of a trial, all in one transaction."""
    with storage.together():
        for key, value in attributes.items():
            storage.set_trial_user_attr(trial_id, key, value)


def requeue(storage: Storage, trial: FrozenTrial, *, ended: bool = False) -> None:
    """Put a trial that was running, or one that ``ended``, back to waiting: see ``Storage.requeue``."""
    storage.requeue([trial._trial_id], ended=ended)


def allow_stop(study: optuna.Study) -> None:
    """Let ``study.stop()``, which some samplers call, work outside ``study.optimize``."""
    study._thread_local.in_optimize_loop = True
    study._stop_flag = False


def is_stopped(study: optuna.Study) -> bool:
    """Whether ``study.stop()`` was called."""
    return bool(study._stop_flag)
