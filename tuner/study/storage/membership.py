"""A process among the workers of a study: it enters, says that it is alive, buries the dead, and leaves."""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy

from tuner.study.storage import leases
from tuner.study.storage.leases import LeaseLost, Worker
from tuner.study.storage.tables import SHARED, Tables, put_back_in
from tuner.study.storage.writer import Result, cause_of, patiently

_MOST_SECONDS = 5.0  # from one look at the others to the next: those whose process is gone are found by it
_LOCK_SECONDS = 0.2  # between two tries to take a lock

log = logging.getLogger("tuner")


class Membership:
    """A process's place among the workers of a study.

    While it is there every write of the tables is made on its behalf: only as long as it is alive.

    Args:
        tables: the trials in the database.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._leaving = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def worker(self) -> Worker | None:
        """Who this process is; None where it is no worker."""
        return self._tables.worker

    @property
    def name(self) -> str:
        """This worker's name, letters and digits.

        Raises:
            LeaseLost: this process is no worker.
        """
        return self._me.worker

    def allow(self, most: int) -> None:
        """Let at most so many trials of the study begin."""
        self._tables.most = most

    def enter(self, study_id: int, seconds: float, *, alone: bool) -> None:
        """Become a worker; trials that nobody runs any more go back to waiting.

        Args:
            study_id: of the study.
            seconds: without a word after which others take over what this worker runs.
            alone: whether nobody may run the study beside it.

        Raises:
            Occupied: another worker is there, and one of the two must be alone.
        """
        me = Worker(uuid.uuid4().hex, study_id, seconds, alone or self._tables.dialect not in SHARED)
        patiently(self._tables.make_tables)
        patiently(lambda: self._enter(me))
        self._tables.worker = me
        self._leaving.clear()
        self._thread = threading.Thread(target=self._live, args=(me,), name="tuner-worker", daemon=True)
        self._thread.start()

    def enter_again(self) -> None:
        """Become another worker, after others took this one for dead."""
        me, most = self.worker, self._tables.most
        if me is None:
            raise RuntimeError("no worker")
        self._stop()
        self.enter(me.study_id, me.seconds, alone=me.alone)
        self._tables.most = most

    def leave(self) -> None:
        """Be no worker any more; what it still runs goes back to waiting. Does nothing where it is none."""
        me = self.worker
        if me is None:
            return
        self._stop()
        patiently(lambda: self._leave(me))

    def vanish(self) -> None:
        """Be no worker any more without telling the database, which is gone: others find out by the silence."""
        self._stop()

    def peers(self) -> int:
        """How many other workers run the study, as far as is known."""
        return self._do(leases.peers)

    def alive(self) -> list[str]:
        """The names of the study's workers."""
        return self._do(leases.alive)

    def others_run(self) -> bool:
        """Whether any other worker has a trial."""
        return self._do(leases.others_run)

    def leased(self) -> list[int]:
        """The ids of the trials that belong to this worker."""
        return self._do(leases.leased)

    def look(self) -> None:
        """Say that this worker is alive, and put back what the dead ran.

        Raises:
            LeaseLost: others took it for dead.
        """
        me = self._me
        with self._tables.transaction() as connection:
            put_back_in(connection, leases.bury(connection, me))

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock of the study while no other worker does. It ends with the worker at the latest.

        Raises:
            LeaseLost: others took this worker for dead.
        """
        while not self._do(lambda connection, me: leases.take_lock(connection, me, name)):
            time.sleep(_LOCK_SECONDS)
        holder = self.worker
        try:
            yield
        finally:
            if self.worker is holder is not None:
                self._do(lambda connection, me: leases.give_lock(connection, me, name))

    @property
    def _me(self) -> Worker:
        if self.worker is None:
            raise LeaseLost("this process is no worker of the study")
        return self.worker

    def _do(self, call: Callable[[sqlalchemy.Connection, Worker], Result]) -> Result:
        """Call for this worker, as who it is by then, in a transaction of its own."""

        def once() -> Result:
            me = self._me
            with self._tables.transaction() as connection:
                return call(connection, me)

        return patiently(once)

    def _enter(self, me: Worker) -> None:
        with self._tables.transaction() as connection:
            put_back_in(connection, leases.enter(connection, me))

    def _leave(self, me: Worker) -> None:
        with self._tables.transaction() as connection:
            put_back_in(connection, leases.leave(connection, me))

    def _stop(self) -> None:
        self._tables.worker = self._tables.most = None
        self._leaving.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_MOST_SECONDS)

    def _live(self, me: Worker) -> None:
        while not self._leaving.wait(min(me.seconds / 3, _MOST_SECONDS)):
            try:
                self.look()
            except LeaseLost:  # its next write says so, where somebody can do something about it
                return
            except sqlalchemy.exc.SQLAlchemyError as error:
                log.debug("the database is called again: %s", cause_of(error))
