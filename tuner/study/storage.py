"""The study's database: Optuna's storage, opened with care, and three things that Optuna's interface lacks.

Every epoch of a round in one transaction; a trial that was running put back to waiting; SQLite in WAL mode. These need
Optuna's table models, which are private: all such uses are in this file.
"""

import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from tuner.errors import InputError

Storage = _CachedStorage

RESOLVED = "tuner:resolved"  # the attribute whose presence says that a trial's parameters are all drawn

_SQLITE_WAIT_SECONDS = 60
_opened: "weakref.WeakSet[RDBStorage]" = weakref.WeakSet()
_NEXT = "Check the URL and that the database runs and may be written, or give another --storage."


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite URL; None for other databases and for SQLite in memory."""
    try:
        parsed = make_url(url)
    except sqlalchemy.exc.ArgumentError:
        return None
    is_file = parsed.get_backend_name() == "sqlite" and parsed.database not in {None, "", ":memory:"}
    return Path(str(parsed.database)) if is_file and not str(parsed.database).startswith("file:") else None


def without_password(url: str) -> str:
    """The URL with its user and password taken out, for messages and for what a study remembers."""
    try:
        parsed = make_url(url)
    except sqlalchemy.exc.ArgumentError:
        return url
    query = {name: value for name, value in parsed.query.items() if name not in {"user", "password"}}
    bare = parsed._replace(username=None, password=None).set(query=query)
    return url if bare == parsed else bare.render_as_string()


def check_storage_url(url: str) -> None:
    """Check what can be checked of a storage URL without touching it.

    Raises:
        InputError: no URL, or an SQLite file whose folder does not exist.
    """
    try:
        make_url(url)
    except sqlalchemy.exc.ArgumentError:
        raise InputError("the storage is no database URL", url, "Write sqlite:///tuner.db, say.") from None
    file = sqlite_file(url)
    if file is not None and not file.absolute().parent.is_dir():
        raise InputError("the folder of the SQLite database does not exist", str(file.parent), "Make it first.")
    if file is not None and file.is_dir():
        raise InputError("the SQLite database is a folder", str(file), "Name a file.")


def open_storage(url: str, *, writable: bool = True) -> Storage:
    """Open a database, and make its tables if it has none.

    Args:
        url: Optuna's.
        writable: whether it shall be written: it is tried at once, not found out after the first training.

    Raises:
        InputError: it cannot be reached or written, or belongs to a newer Optuna.
    """
    check_storage_url(url)
    shown = without_password(url)
    try:
        backend = RDBStorage(url, engine_kwargs=_engine_options(url))
        if writable and sqlite_file(url) is not None:
            _use_wal(backend)
        if writable:
            _try_to_write(backend)
    except ImportError as error:
        raise InputError("the database's driver is not installed", shown, f"{error}. Install it with pip.") from error
    except RuntimeError as error:
        raise InputError("the database's Optuna schema does not fit", shown, f"{error}") from error
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise InputError(f"the database cannot be used ({_cause(error)})", shown, _NEXT) from error
    _opened.add(backend)
    return Storage(backend)


def close_databases() -> None:
    """Close the connections of all databases that are open: SQLite then leaves one file, not its log beside it."""
    for backend in list(_opened):
        backend.remove_session()
        backend.engine.dispose()


def report_epochs(storage: Storage, reports: Iterable[tuple[int, int, float]]) -> None:
    """Store intermediate values, all in one statement: Optuna's own call looks up trial and step for each.

    Args:
        storage: of the study.
        reports: (trial id, step, value) each, of steps that the trials have not reported.
    """
    table = models.TrialIntermediateValueModel
    rows = []
    for trial_id, step, value in reports:
        stored, kind = table.intermediate_value_to_stored_repr(value)
        rows.append({"trial_id": trial_id, "step": step, "intermediate_value": stored, "intermediate_value_type": kind})
    if rows:
        with _create_scoped_session(storage._backend.scoped_session) as session:
            session.execute(sqlalchemy.insert(table), rows)


def set_attributes(storage: Storage, trial_id: int, attributes: Mapping[str, Any]) -> None:
    """Store user attributes of a trial, all in one transaction."""
    backend = storage._backend
    with _create_scoped_session(backend.scoped_session) as session:
        for key, value in attributes.items():
            backend._set_trial_attr_without_commit(session, models.TrialUserAttributeModel, trial_id, key, value)


def requeue(storage: Storage, trial: FrozenTrial) -> None:
    """Put a trial that was running back to waiting, under its own number, without what it reported.

    Its parameters stay where the search space had drawn them all; else they are drawn again from its own seed.
    """
    with _create_scoped_session(storage._backend.scoped_session) as session:
        _forget_progress(session, trial)


def allow_stop(study: optuna.Study) -> None:
    """Let ``study.stop()``, which some samplers call, work outside ``study.optimize``."""
    study._thread_local.in_optimize_loop = True
    study._stop_flag = False


def is_stopped(study: optuna.Study) -> bool:
    """Whether ``study.stop()`` was called."""
    return bool(study._stop_flag)


def _forget_progress(session: Session, trial: FrozenTrial) -> None:
    row = session.get_one(models.TrialModel, trial._trial_id, with_for_update=True)
    if row.state != TrialState.RUNNING:
        return
    row.state, row.datetime_start = TrialState.WAITING, None
    forgotten = [models.TrialIntermediateValueModel]
    if RESOLVED not in trial.user_attrs:
        forgotten.append(models.TrialParamModel)
    for model in forgotten:
        session.execute(sqlalchemy.delete(model).where(model.trial_id == trial._trial_id))
    system = models.TrialSystemAttributeModel
    rungs = system.key.startswith("completed_rung_", autoescape=True)
    session.execute(sqlalchemy.delete(system).where(system.trial_id == trial._trial_id, rungs))


def _engine_options(url: str) -> dict[str, Any]:
    if make_url(url).get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": _SQLITE_WAIT_SECONDS}}
    return {"pool_pre_ping": True}


def _use_wal(backend: RDBStorage) -> None:
    @sqlalchemy.event.listens_for(backend.engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    backend.remove_session()
    backend.engine.dispose()


def _try_to_write(backend: RDBStorage) -> None:
    with backend.engine.begin() as connection:
        connection.execute(sqlalchemy.update(models.VersionInfoModel).values(version_info_id=1))


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    original = getattr(error, "orig", None) or error
    return str(original).strip().splitlines()[0]
