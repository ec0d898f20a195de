"""Which worker runs which trial, in tables of our own beside Optuna's, whose attributes cannot compare and swap.

A worker is a process that runs a study. It is alive while its row is there; the row says until when it may be silent.
Every write of a worker begins with renewing that row, and fails where the row is gone: who was declared dead changes
nothing any more. All times are the database's, so that workers need no common clock.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import Column, Connection, Engine, Table, and_, case, delete, insert, not_, select, update

from tuner.study.storage.machines import is_gone, this_machine, this_process

_metadata = sqlalchemy.MetaData()
_workers = Table(
    "tuner_workers",
    _metadata,
    Column("worker", sqlalchemy.String(32), primary_key=True),
    Column("study_id", sqlalchemy.Integer, nullable=False, index=True),
    Column("alone", sqlalchemy.Boolean, nullable=False),
    Column("machine", sqlalchemy.String(128), nullable=False),
    Column("process", sqlalchemy.String(64), nullable=False),
    Column("seconds", sqlalchemy.Double, nullable=False),
    Column("expires", sqlalchemy.Double, nullable=False),
    Column("since", sqlalchemy.Double, nullable=False),
)
_leases = Table(
    "tuner_leases",
    _metadata,
    Column("trial_id", sqlalchemy.Integer, primary_key=True, autoincrement=False),
    Column("worker", sqlalchemy.String(32), nullable=False, index=True),
)
_locks = Table(
    "tuner_locks",
    _metadata,
    Column("study_id", sqlalchemy.Integer, primary_key=True, autoincrement=False),
    Column("name", sqlalchemy.String(32), primary_key=True),
    Column("worker", sqlalchemy.String(32), nullable=False, index=True),
)
_trials = models.TrialModel.__table__
_studies = models.StudyModel.__table__

_CLOCKS = {
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    "postgresql": "extract(epoch from clock_timestamp())",
    "mysql": "unix_timestamp(now(6))",
    "mariadb": "unix_timestamp(now(6))",
}


class LeaseLost(Exception):
    """This worker was silent for so long that others have taken its trials over."""


class Occupied(Exception):
    """Another worker runs the study, and one of the two must be alone."""


@dataclass(frozen=True)
class Worker:
    """A process that runs a study.

    worker: its name, letters and digits. seconds: that it may be silent. alone: whether nobody may run beside it.
    """

    worker: str
    study_id: int
    seconds: float
    alone: bool


def make_tables(engine: Engine) -> None:
    """Make the tables that are missing."""
    try:
        _metadata.create_all(engine)
    except sqlalchemy.exc.DBAPIError:  # another process made them at the same moment
        _metadata.create_all(engine)


def lock_study(connection: Connection, study_id: int) -> None:
    """Make all others that want this lock wait for the transaction's end; the transaction must not have read before.

    SQLite needs no such lock: its first write locks the whole database.
    """
    query = select(_studies.c.study_id).where(_studies.c.study_id == study_id)
    if connection.dialect.name != "sqlite":
        connection.execute(query.with_for_update(key_share=True))


def enter(connection: Connection, me: Worker) -> list[int]:
    """Add a worker: the ids of the trials that nobody runs any more.

    Raises:
        Occupied: it or another one must be alone.
    """
    lock_study(connection, me.study_id)
    now = _now(connection)
    row = {"worker": me.worker, "study_id": me.study_id, "alone": me.alone, "seconds": me.seconds}
    row |= {"machine": this_machine(), "process": this_process()}
    connection.execute(delete(_workers).where(_workers.c.worker == me.worker))  # of a try whose answer was lost
    connection.execute(insert(_workers).values(expires=now + me.seconds, since=now, **row))
    lost = bury(connection, me)
    others = [other.alone for other in connection.execute(_others(me))]
    if any(others) or (me.alone and others):
        raise Occupied
    return lost + _orphans(connection, me.study_id)


def renew(connection: Connection, me: Worker) -> None:
    """Say that a worker is alive; the first statement of each of its transactions.

    Raises:
        LeaseLost: it was declared dead.
    """
    if connection.execute(_RENEW[connection.dialect.name], {"me": me.worker}).rowcount != 1:
        raise LeaseLost("this worker was silent for too long: others have taken its trials over")


def leave(connection: Connection, me: Worker) -> list[int]:
    """Remove a worker with all that it holds: the ids of its trials."""
    connection.execute(delete(_workers).where(_workers.c.worker == me.worker))
    trials = leased(connection, me)
    _release_all(connection, [me.worker])
    return trials


def peers(connection: Connection, me: Worker) -> int:
    """How many other workers run the study, as far as is known."""
    return len(connection.execute(_others(me)).all())


def bury(connection: Connection, me: Worker) -> list[int]:
    """Declare dead the workers that are: the ids of the trials that they ran.

    A worker is dead when its time is over or when it ran on this machine and its process is gone. Whose time is over
    is judged only by a worker that has been there for long enough itself: after an outage, or a jump of the clock, all
    are late, and each first has the time to say so.
    """
    now = _now(connection)
    overdue = not_(_workers.c.expires.between(now, now + 2 * _workers.c.seconds))
    mine = select(_workers.c.since).where(_workers.c.worker == me.worker).scalar_subquery()
    expired = and_(overdue, now - mine > _workers.c.seconds)
    found = connection.execute(
        select(_workers.c.worker, _workers.c.machine, _workers.c.process, expired.label("expired")).where(
            _workers.c.study_id == me.study_id, _workers.c.worker != me.worker
        )
    ).all()
    dead = []
    for other in found:
        gone = other.machine == this_machine() and is_gone(other.process)
        if gone or other.expired:
            condition = _workers.c.worker == other.worker
            end = delete(_workers).where(condition if gone else and_(condition, overdue))
            if connection.execute(end).rowcount:
                dead.append(other.worker)
    if not dead:
        return []
    trials = connection.execute(select(_leases.c.trial_id).where(_leases.c.worker.in_(dead))).scalars().all()
    _release_all(connection, dead)
    return list(trials)


def leased(connection: Connection, me: Worker) -> list[int]:
    """The ids of the trials that belong to a worker."""
    return list(connection.execute(select(_leases.c.trial_id).where(_leases.c.worker == me.worker)).scalars())


def others_run(connection: Connection, me: Worker) -> bool:
    """Whether any other worker of the study has a trial."""
    of_study = select(_workers.c.worker).where(_workers.c.study_id == me.study_id, _workers.c.worker != me.worker)
    held = select(_leases.c.trial_id).where(_leases.c.worker.in_(of_study)).limit(1)
    return connection.execute(held).first() is not None


def alive(connection: Connection, me: Worker) -> list[str]:
    """The names of the workers of a worker's study."""
    return list(connection.execute(select(_workers.c.worker).where(_workers.c.study_id == me.study_id)).scalars())


def lease(connection: Connection, me: Worker, trial_id: int) -> None:
    """Give a worker a trial that nobody has."""
    release(connection, [trial_id])
    connection.execute(insert(_leases).values(trial_id=trial_id, worker=me.worker))


def release(connection: Connection, trial_ids: Collection[int]) -> None:
    """Take trials from whoever has them."""
    if trial_ids:
        connection.execute(delete(_leases).where(_leases.c.trial_id.in_(list(trial_ids))))


def take_lock(connection: Connection, me: Worker, name: str) -> bool:
    """Take a named lock of the study: whether the worker has it now."""
    lock_study(connection, me.study_id)
    key = (_locks.c.study_id == me.study_id, _locks.c.name == name)
    holder = connection.execute(select(_locks.c.worker).where(*key)).scalar_one_or_none()
    if holder is None:
        connection.execute(insert(_locks).values(study_id=me.study_id, name=name, worker=me.worker))
    return holder in {None, me.worker}


def give_lock(connection: Connection, me: Worker, name: str) -> None:
    """Give a named lock back."""
    mine = (_locks.c.study_id == me.study_id, _locks.c.name == name, _locks.c.worker == me.worker)
    connection.execute(delete(_locks).where(*mine))


def _orphans(connection: Connection, study_id: int) -> list[int]:
    """The ids of the trials that run without belonging to any worker."""
    running = (_trials.c.study_id == study_id, _trials.c.state == TrialState.RUNNING)
    unleased = _trials.c.trial_id.not_in(select(_leases.c.trial_id))
    return list(connection.execute(select(_trials.c.trial_id).where(*running, unleased)).scalars())


def _others(me: Worker) -> sqlalchemy.Select[tuple[bool]]:
    return select(_workers.c.alone).where(_workers.c.study_id == me.study_id, _workers.c.worker != me.worker)


def _release_all(connection: Connection, workers: Sequence[str]) -> None:
    for table in (_leases, _locks):
        connection.execute(delete(table).where(table.c.worker.in_(workers)))


def _now(connection: Connection) -> sqlalchemy.ColumnElement[float]:
    return _clock(connection.dialect.name)


def _clock(dialect: str) -> sqlalchemy.ColumnElement[float]:
    return sqlalchemy.literal_column(_CLOCKS[dialect], sqlalchemy.Double)


def _renewal(dialect: str) -> sqlalchemy.Update:
    """Renew; who comes back from an absence, or finds the clock turned, is there since now."""
    now = _clock(dialect)
    steady = and_(_workers.c.expires.between(now, now + 2 * _workers.c.seconds), _workers.c.since <= now)
    since = case((steady, _workers.c.since), else_=now)
    own = update(_workers).where(_workers.c.worker == sqlalchemy.bindparam("me"))
    return own.ordered_values((_workers.c.since, since), (_workers.c.expires, now + _workers.c.seconds))


_RENEW = {dialect: _renewal(dialect) for dialect in _CLOCKS}
