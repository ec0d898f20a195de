"""A batch as statements on Optuna's tables: one for each kind of value, whatever the number of rows."""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import Connection
from sqlalchemy.dialects import mysql, postgresql, sqlite

from tuner.study.storage.batch import Batch

Rows = list[dict[str, Any]]

_trials = models.TrialModel.__table__

log = logging.getLogger("tuner")


def statements(dialect: str) -> list[tuple[Any, Callable[[Batch], Rows]]]:
    """What writes a batch but for the ends: a statement and its rows each."""
    return [(_upsert(dialect, model, keys), rows) for model, keys, rows in _WRITES]


def end_trials(connection: Connection, ends: Mapping[int, tuple[TrialState, datetime]]) -> None:
    """Write how trials ended; one that another process ended meanwhile stays as it is, with a warning."""
    if not ends:
        return
    rows = [{"id": trial_id, "to": state, "at": moment} for trial_id, (state, moment) in ends.items()]
    if connection.execute(_END, rows).rowcount == len(rows):
        return
    query = sqlalchemy.select(_trials.c.trial_id, _trials.c.state).where(_trials.c.trial_id.in_(list(ends)))
    for trial_id, state in connection.execute(query):
        if state != ends[trial_id][0]:  # else an earlier try went through, though its answer was lost
            log.warning("another process has ended the trial with the id %d: it is %s", trial_id, state.name)


def utc(moment: datetime) -> datetime:
    """A local time as Optuna stores it."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def local(moment: datetime | None) -> datetime | None:
    """A time as Optuna stores it, as the local one that its trials have."""
    return None if moment is None else moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)


def _upsert(dialect: str, model: Any, keys: tuple[str, ...]) -> Any:
    table = model.__table__
    values = [column.name for column in table.columns if column.name not in keys and not column.primary_key]
    if dialect in {"mysql", "mariadb"}:
        insert = mysql.insert(table)
        return insert.on_duplicate_key_update({name: insert.inserted[name] for name in values})
    conflicting = (sqlite if dialect == "sqlite" else postgresql).insert(table)
    replaced = {name: conflicting.excluded[name] for name in values}
    return conflicting.on_conflict_do_update(index_elements=list(keys), set_=replaced)


def _params(batch: Batch) -> Rows:
    return [
        {"trial_id": trial_id, "param_name": name, "param_value": value, "distribution_json": distribution}
        for (trial_id, name), (value, distribution) in batch.params.items()
    ]


def _user_attrs(batch: Batch) -> Rows:
    return [{"trial_id": trial, "key": key, "value_json": value} for (trial, key), value in batch.user_attrs.items()]


def _system_attrs(batch: Batch) -> Rows:
    return [{"trial_id": trial, "key": key, "value_json": value} for (trial, key), value in batch.system_attrs.items()]


def _intermediate(batch: Batch) -> Rows:
    rows = []
    for (trial_id, step), value in batch.intermediate.items():
        stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
        row = {"trial_id": trial_id, "step": step, "intermediate_value": stored, "intermediate_value_type": kind}
        rows.append(row)
    return rows


def _values(batch: Batch) -> Rows:
    rows = []
    for (trial_id, objective), value in batch.values.items():
        stored, kind = models.TrialValueModel.value_to_stored_repr(value)
        rows.append({"trial_id": trial_id, "objective": objective, "value": stored, "value_type": kind})
    return rows


_WRITES: tuple[tuple[Any, tuple[str, ...], Callable[[Batch], Rows]], ...] = (
    (models.TrialParamModel, ("trial_id", "param_name"), _params),
    (models.TrialUserAttributeModel, ("trial_id", "key"), _user_attrs),
    (models.TrialSystemAttributeModel, ("trial_id", "key"), _system_attrs),
    (models.TrialIntermediateValueModel, ("trial_id", "step"), _intermediate),
    (models.TrialValueModel, ("trial_id", "objective"), _values),
)

_END = (
    sqlalchemy.update(_trials)
    .where(
        _trials.c.trial_id == sqlalchemy.bindparam("id"),
        sqlalchemy.or_(_trials.c.state == TrialState.RUNNING, _trials.c.state == TrialState.WAITING),
    )
    .values(state=sqlalchemy.bindparam("to"), datetime_complete=sqlalchemy.bindparam("at"))
)
