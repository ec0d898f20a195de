"""Opening a database with care: what can go wrong is found out at once and said in one sentence."""

import logging
import time
import weakref
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from sqlalchemy.engine import make_url

from tuner.errors import InputError
from tuner.study.storage.batched import Storage
from tuner.study.storage.urls import check_storage_url, sqlite_file, without_password
from tuner.study.storage.writer import WriteFailed, cause_of
from tuner.tracking import without_secrets

_SQLITE_WAIT_SECONDS = 60
_CONNECT_SECONDS = 4  # else a server that does not answer is waited for as long as the system likes
_PAUSES = (0.1, 0.3, 1.0)  # seconds
_NEXT = "Check the URL and that the database runs and may be written, or give another --storage."

_opened: "weakref.WeakSet[Storage]" = weakref.WeakSet()

log = logging.getLogger("tuner")

# Where a connection is lost while trials are read, Optuna warns with the whole statement, tens of thousands of
# characters, and tries in another way; what becomes of it is said by who called.
logging.getLogger("optuna.storages._rdb.storage").addFilter(lambda record: "slower alternative" not in record.msg)


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
        backend = _backend(url)
        if writable and sqlite_file(url) is not None:
            _use_wal(backend)
        if writable:
            _try_to_write(backend)
    except ImportError as error:
        raise InputError("the database's driver is not installed", shown, f"{error}. Install it with pip.") from error
    except RuntimeError as error:
        raise InputError("the database's Optuna schema does not fit", shown, f"{error}") from error
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        cause = without_secrets(cause_of(error), url)
        raise InputError(f"the database cannot be used ({cause})", shown, _NEXT) from error
    storage = Storage(backend)
    _opened.add(storage)
    return storage


def close_databases() -> None:
    """Write what is queued and close the connections: SQLite then leaves one file, not its log beside it."""
    for storage in list(_opened):
        try:
            storage.close()
        except (
            WriteFailed
        ) as error:  # was raised in the study's own thread; the other databases are closed all the same
            log.warning("%s", error)


def _backend(url: str) -> RDBStorage:
    """Optuna's storage; of processes that make its tables at the same moment all but one fail at first."""
    for pause in (*_PAUSES, None):
        try:
            return RDBStorage(url, engine_kwargs=_engine_options(url))
        except (sqlalchemy.exc.DBAPIError, optuna.exceptions.StorageInternalError) as error:
            if pause is None or not _is_made_elsewhere(error):
                raise
            time.sleep(pause)
    raise AssertionError


def _is_made_elsewhere(error: Exception) -> bool:
    return any(words in str(error).lower() for words in ("already exists", "unique constraint", "duplicate"))


def _engine_options(url: str) -> dict[str, Any]:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": _SQLITE_WAIT_SECONDS}}
    options: dict[str, Any] = {"pool_pre_ping": True}
    if "connect_timeout" not in parsed.query:
        options["connect_args"] = {"connect_timeout": _CONNECT_SECONDS}  # psycopg, psycopg2, PyMySQL and mysqlclient
    return options


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
