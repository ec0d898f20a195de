"""The trials in a database, by as few statements as possible.

Optuna's own calls take a transaction for every single value and read each trial again first. Its table models and its
helpers for what is stored specially are private: they are used in this package and nowhere else, and the versions are
pinned.
"""

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from typing import Any, NoReturn

import sqlalchemy
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, bindparam, func, insert, select, update

from tuner.study.storage import leases
from tuner.study.storage.batch import Batch
from tuner.study.storage.frozen import read_trials
from tuner.study.storage.leases import Worker
from tuner.study.storage.rows import end_trials, statements, utc
from tuner.study.storage.writer import patiently

RESOLVED = "tuner:resolved"  # the attribute whose presence says that a trial's parameters are all drawn
RUNG = "completed_rung_"  # how the attributes of Optuna's pruners with rungs begin
SHARED = ("sqlite", "postgresql")  # databases that take several workers at once
_CHUNK = 500  # ids in a statement: databases limit its variables

_trials = models.TrialModel.__table__
_studies = models.StudyModel.__table__

_COUNTED = (
    select(func.count(_trials.c.trial_id).label("number")).where(_trials.c.study_id == bindparam("study")).subquery()
)
_INSERT = (
    insert(_trials)
    .from_select(
        ["number", "study_id", "state", "datetime_start"],
        select(
            _COUNTED.c.number,
            _studies.c.study_id,
            bindparam("state", TrialState.RUNNING, _trials.c.state.type),
            bindparam("now", type_=_trials.c.datetime_start.type),
        )
        .select_from(_studies.join(_COUNTED, sqlalchemy.true()))
        .where(_studies.c.study_id == bindparam("study"), _COUNTED.c.number < bindparam("most")),
    )
    .returning(_trials.c.trial_id, _trials.c.number)
)
_BEGUN = select(func.count(_trials.c.trial_id)).where(
    _trials.c.study_id == bindparam("study"), _trials.c.state != TrialState.WAITING
)
_NO_LIMIT = 2**31 - 1


class StudyFull(Exception):
    """The study holds as many trials as it shall."""


class Tables:
    """The trials in a database.

    Args:
        backend: Optuna's.

    Attributes:
        dialect: of the database.
        worker: on whose behalf trials are written: only while it is alive. None where nobody shares them.
        most: trials that may begin.
    """

    def __init__(self, backend: RDBStorage) -> None:
        self._backend = backend
        self.worker: Worker | None = None
        self.most: int | None = None
        self.dialect = backend.engine.dialect.name
        # SQLite lets one write at a time, and whoever meets another sleeps: this process's threads take turns instead
        self._turn: AbstractContextManager[Any] = threading.Lock() if self.dialect == "sqlite" else nullcontext()
        self._writes = statements(self.dialect)

    def make_tables(self) -> None:
        """Make the tables beside Optuna's that are missing."""
        leases.make_tables(self._backend.engine)

    def study_of(self, trial_id: int) -> int:
        """The study of a trial.

        Raises:
            KeyError: there is no such trial.
        """
        found = patiently(lambda: self._rows(select(_trials.c.study_id).where(_trials.c.trial_id == trial_id)))
        if not found:
            raise KeyError(models.NOT_FOUND_MSG)
        return int(found[0].study_id)

    def create(self, study_id: int) -> FrozenTrial:
        """A new running trial: the database gives id and number.

        Raises:
            KeyError: there is no such study.
            StudyFull: it holds as many as it shall.
        """
        if self.dialect not in SHARED:
            return self._create_elsewhere(study_id)
        now = _now()
        trial_id, number = patiently(lambda: self._insert(study_id, now))
        return FrozenTrial(
            number=number,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=now,
            datetime_complete=None,
            params={},
            distributions={},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
            trial_id=trial_id,
        )

    def create_from(self, study_id: int, template: FrozenTrial) -> FrozenTrial:
        """A new trial with the contents of a template.

        Raises:
            KeyError: there is no such study.
        """
        with self._turn:
            trial_id = self._backend.create_new_trial(study_id, template)
        return self.read([trial_id])[0]

    def claim(self, study_id: int, trial_id: int) -> bool:
        """Make a waiting trial a running one; of all processes that try, one succeeds.

        Raises:
            StudyFull: as many have begun as may.
        """
        now = _now()
        return patiently(lambda: self._claim(study_id, trial_id, now))

    def put_back(self, trial_ids: Collection[int], *, ended: bool = False) -> None:
        """Make trials that run (or ``ended``) waiting ones, without what they reported; others stay as they are."""

        def put_back() -> None:
            with self.transaction() as connection:
                put_back_in(connection, trial_ids, ended=ended)
                if self.worker is not None:  # else there may be no such table
                    leases.release(connection, trial_ids)

        patiently(put_back)

    def read(self, trial_ids: Collection[int]) -> list[FrozenTrial]:
        """Trials in the order of their ids; those that do not exist are left out."""
        return patiently(lambda: [trial for chunk in _chunks(trial_ids) for trial in self._read(chunk)])

    def states(self, study_id: int, above: int, among: Collection[int]) -> dict[int, TrialState]:
        """The states of a study's trials whose ids are above a number or among these."""
        query = select(_trials.c.trial_id, _trials.c.state).where(_trials.c.study_id == study_id)
        wanted = [_trials.c.trial_id > above, *(_trials.c.trial_id.in_(chunk) for chunk in _chunks(among))]
        return patiently(lambda: {row.trial_id: row.state for each in wanted for row in self._rows(query.where(each))})

    def write(self, batch: Batch) -> None:
        """Write a batch in one transaction."""
        patiently(lambda: self._write(batch))

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction that writes; where there is a worker, only while it is alive.

        Raises:
            LeaseLost: it is not any more.
        """
        with self._turn, self._backend.engine.begin() as connection:
            if self.worker is not None:
                leases.renew(connection, self.worker)
            yield connection

    def _rows(self, query: Any) -> Sequence[sqlalchemy.Row[Any]]:
        with self._backend.engine.connect() as connection:
            return connection.execute(query).all()

    def _insert(self, study_id: int, now: datetime) -> tuple[int, int]:
        values = {"study": study_id, "now": utc(now), "most": _NO_LIMIT if self.most is None else self.most}
        with self.transaction() as connection:
            leases.lock_study(connection, study_id)
            row = connection.execute(_INSERT, values).one_or_none()
            if row is None:
                self._refuse(connection, study_id)
            if self.worker is not None:
                leases.lease(connection, self.worker, row.trial_id)
        return row.trial_id, row.number

    @staticmethod
    def _refuse(connection: Connection, study_id: int) -> NoReturn:
        if connection.execute(select(_studies.c.study_id).where(_studies.c.study_id == study_id)).one_or_none() is None:
            raise KeyError(models.NOT_FOUND_MSG)
        raise StudyFull

    def _create_elsewhere(self, study_id: int) -> FrozenTrial:
        """A new trial in a database that one worker uses at a time."""
        if self.most is not None and self._backend.get_n_trials(study_id) >= self.most:
            raise StudyFull
        trial = self._backend._create_new_trial(study_id)
        if self.worker is not None:
            with self.transaction() as connection:
                leases.lease(connection, self.worker, trial._trial_id)
        return trial

    def _claim(self, study_id: int, trial_id: int, now: datetime) -> bool:
        waiting = update(_trials).where(_trials.c.trial_id == trial_id, _trials.c.state == TrialState.WAITING)
        with self.transaction() as connection:
            if self.most is not None:
                leases.lock_study(connection, study_id)
                if connection.execute(_BEGUN, {"study": study_id}).scalar_one() >= self.most:
                    raise StudyFull
            begun = connection.execute(waiting.values(state=TrialState.RUNNING, datetime_start=utc(now))).rowcount == 1
            if begun and self.worker is not None:
                leases.lease(connection, self.worker, trial_id)
        return begun

    def _read(self, trial_ids: Sequence[int]) -> list[FrozenTrial]:
        with self._backend.engine.connect() as connection:
            return read_trials(connection, trial_ids)

    def _write(self, batch: Batch) -> None:
        with self.transaction() as connection:
            for statement, rows_of in self._writes:
                if rows := rows_of(batch):
                    connection.execute(statement, rows)
            end_trials(connection, batch.ends)
            if self.worker is not None:
                leases.release(connection, list(batch.ends))


def put_back_in(connection: Connection, trial_ids: Collection[int], *, ended: bool = False) -> None:
    """``Tables.put_back`` within a transaction. Parameters stay where the search space had drawn them all."""
    states = [state for state in TrialState if state.is_finished()] if ended else [TrialState.RUNNING]
    attributes = models.TrialUserAttributeModel
    for trial_id in trial_ids:
        begun = update(_trials).where(_trials.c.trial_id == trial_id, _trials.c.state.in_(states))
        waiting = begun.values(state=TrialState.WAITING, datetime_start=None, datetime_complete=None)
        if connection.execute(waiting).rowcount:
            drawn = select(attributes.key).where(attributes.trial_id == trial_id, attributes.key == RESOLVED)
            with_parameters = connection.execute(drawn).first() is not None
            for deletion in _forgetting(trial_id, with_parameters=with_parameters):
                connection.execute(deletion)


def _forgetting(trial_id: int, *, with_parameters: bool) -> list[sqlalchemy.Delete]:
    system = models.TrialSystemAttributeModel
    rungs = system.key.startswith(RUNG, autoescape=True)
    forgotten: list[Any] = [models.TrialIntermediateValueModel, models.TrialValueModel]
    forgotten += [] if with_parameters else [models.TrialParamModel]
    return [
        *(sqlalchemy.delete(model).where(model.trial_id == trial_id) for model in forgotten),
        sqlalchemy.delete(system).where(system.trial_id == trial_id, rungs),
    ]


def _now() -> datetime:
    """Optuna's trials have local times without a zone."""
    return datetime.now()


def _chunks(trial_ids: Collection[int]) -> list[list[int]]:
    ordered = sorted(trial_ids)
    return [ordered[start : start + _CHUNK] for start in range(0, len(ordered), _CHUNK)]
