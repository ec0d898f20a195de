"""Writes that fail, connections that are lost, and storages that nobody closes."""

import gc
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState

from tests.study.storage.conftest import draw, in_database, new_study
from tuner import InputError
from tuner.study.storage import (
    WriteFailed,
    open_storage,
    report_epochs,
    writer,
)

ROOT = Path(__file__).parents[3]


@pytest.fixture
def own(url):
    """A storage of the test's own, on the shared database."""
    storage = open_storage(url)
    yield storage
    storage._backend.engine.dispose()


def test_a_write_that_fails_is_raised_by_the_next_call(own, storage, monkeypatch):
    study = optuna.create_study(study_name="s", storage=own)
    trial = study.ask()
    monkeypatch.setattr(own._tables, "_turn", Refusing())
    trial.report(0.5, 1)
    with pytest.raises(WriteFailed, match=r"out of luck.*1 changes of the trials with the ids \d+ not stored"):
        own.flush()
    monkeypatch.undo()
    for call in (lambda: trial.report(0.6, 2), study.ask, lambda: study.tell(trial, 1.0), own.close):
        with pytest.raises(WriteFailed, match="out of luck"):
            call()
    assert study.trials[0].intermediate_values == {1: 0.5}  # it can be looked at


class Refusing:
    """Stands before every transaction, as a full disk would."""

    def __enter__(self):
        raise sqlalchemy.exc.InternalError("INSERT", {}, RuntimeError("out of luck"))

    def __exit__(self, *_):
        raise AssertionError


def fill(trial):
    for step in range(10_000):
        trial.set_user_attr(f"attribute {step}", "x" * 10_000)
        time.sleep(0.001)


def test_a_full_sqlite_database_is_said_in_the_loops_thread(tmp_path):
    storage = open_storage(f"sqlite:///{tmp_path}/full.db")
    study = optuna.create_study(storage=storage)
    trial = study.ask()
    with storage._backend.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()

    @sqlalchemy.event.listens_for(storage._backend.engine, "connect")
    def limit(connection, _):
        connection.execute(f"PRAGMA max_page_count={pages}")

    storage._backend.engine.dispose()
    with pytest.raises(StorageInternalError, match="full"):
        fill(trial)
    storage._backend.engine.dispose()


def test_a_lost_connection_is_made_again(postgresql):
    storage = open_storage(postgresql)
    study = optuna.create_study(study_name="lost", storage=storage)
    trial = study.ask()
    with storage.together():
        draw(trial)
        other = sqlalchemy.create_engine(postgresql, isolation_level="AUTOCOMMIT")
        with other.connect() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                " AND backend_type = 'client backend'"
            )
        other.dispose()
        study.tell(trial, 1.0)
    storage.flush()
    assert study.ask().number == 1
    optuna.delete_study(study_name="lost", storage=storage)
    storage.close()


@pytest.mark.parametrize("table", ["trials", "trial_params", "trial_intermediate_values"])
def test_a_connection_that_is_lost_while_trials_are_read_is_made_again(postgresql, caplog, table):
    written = open_storage(postgresql)
    study = optuna.create_study(study_name="lost", storage=written)
    for _ in range(3):
        trial = study.ask()
        draw(trial)
        trial.report(0.5, 1)
        study.tell(trial, 1.0)
    written.flush()
    storage, lost = open_storage(postgresql), []
    other = sqlalchemy.create_engine(postgresql, isolation_level="AUTOCOMMIT")

    @sqlalchemy.event.listens_for(storage._backend.engine, "before_cursor_execute")
    def lose(connection, _cursor, statement, *_):
        if f"FROM {table} " in statement and not lost:
            lost.append(connection.connection.dbapi_connection.info.backend_pid)
            with other.connect() as killer:
                killer.exec_driver_sql(f"SELECT pg_terminate_backend({lost[0]})")

    read = storage.get_all_trials(storage.get_study_id_from_name("lost"))
    assert lost
    assert read == study.trials
    assert "slower alternative" not in caplog.text
    other.dispose()
    storage.close()
    optuna.delete_study(study_name="lost", storage=written)
    written.close()


def test_a_refused_write_is_tried_again(monkeypatch):
    tries = []

    def call():
        tries.append(time.monotonic())
        if len(tries) < 3:
            raise sqlalchemy.exc.OperationalError("SELECT", {}, ConnectionError("the server is starting up"))
        return "done"

    assert writer.patiently(call) == "done"
    monkeypatch.setattr(writer, "_PATIENCE_SECONDS", 0.0)
    tries.clear()
    with pytest.raises(StorageInternalError, match="starting up"):
        writer.patiently(call)


def test_a_storage_that_nobody_holds_any_more_is_written(tmp_path):
    url = f"sqlite:///{tmp_path}/tuner.db"
    study = new_study(open_storage(url))
    study.tell(study.ask(), 1.0)
    thread = study._storage._writer._thread
    del study
    gc.collect()
    assert not thread.is_alive()
    assert in_database(url)[0].state == TrialState.COMPLETE


def test_a_process_that_ends_writes_first(tmp_path):
    url = f"sqlite:///{tmp_path}/tuner.db"
    new_study(open_storage(url))
    script = f"""
import optuna
from tuner.study.storage import open_storage
study = optuna.load_study(study_name="s", storage=open_storage({url!r}))
study.tell(study.ask(), 1.0)
"""
    subprocess.run([sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
    assert in_database(url)[0].state == TrialState.COMPLETE


def test_sqlite_in_memory_needs_no_thread():
    storage = open_storage("sqlite:///:memory:")
    study = new_study(storage)
    trial = study.ask()
    draw(trial)
    report_epochs(storage, [(trial._trial_id, step, 0.5) for step in range(600)])
    study.tell(trial, 1.0)
    storage.flush()
    assert storage._tables.read([trial._trial_id]) == study.trials
    assert storage._writer._thread is None


def test_a_server_that_does_not_answer_is_said_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+psycopg://me:secret@127.0.0.1:{silent.getsockname()[1]}/base"
        began = time.monotonic()
        with pytest.raises(InputError, match=r"the database cannot be used .*timeout expired") as refused:
            open_storage(url)
    assert time.monotonic() - began < 5
    assert "secret" not in str(refused.value)
