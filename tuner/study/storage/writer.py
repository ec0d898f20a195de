"""One thread that writes what is queued, everything that has gathered in one transaction."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import sqlalchemy
from optuna.exceptions import StorageInternalError

from tuner.study.storage.batch import Batch
from tuner.study.storage.leases import LeaseLost

_GATHER_SECONDS = 0.25  # what a killed process may lose; a transaction costs the same for one row and for hundreds
_PATIENCE_SECONDS = 60.0  # for a database server that is started again
_FLUSH_SECONDS = 150.0  # more than the patience, and than SQLite waits for a lock
_INLINE = 500  # changes, where there is no thread

Result = TypeVar("Result")

log = logging.getLogger("tuner")


class WriteFailed(StorageInternalError):
    """What was queued could not be written. The message says why, and what is not stored."""


class Writer:
    """Takes changes at once and writes them behind its callers.

    After a write that failed for good, every further change and flush raises: what was queued is not forgotten in
    silence, and the trials it belonged to are in the database as they were before it.

    Args:
        write: writes a batch in one transaction; it may be called again with one that failed.
        background: whether a thread writes. SQLite in memory belongs to the thread that made it: changes are then
            written by whoever brings the five hundredth, or flushes.
    """

    def __init__(self, write: Callable[[Batch], None], *, background: bool) -> None:
        self._write, self._background = write, background
        self._changed = threading.Condition()  # its lock can be taken again by its owner
        self._pending, self._taken = Batch(), Batch()
        self._takes, self._written, self._hurried = 0, 0, 0  # batches
        self._thread: threading.Thread | None = None
        self._closing = False
        self._error: Exception | None = None

    @contextmanager
    def batch(self) -> Iterator[Batch]:
        """The batch that gathers; what is added inside is written in one transaction.

        Raises:
            WriteFailed: an earlier write failed.
        """
        with self._changed:
            self.check()
            idle = not self._pending
            try:
                yield self._pending
            finally:
                if self._pending and idle and self._background:
                    self._wake()
        if not self._background and len(self._pending) >= _INLINE:
            self.flush()

    def check(self) -> None:
        """Raise the error of a write that failed.

        Raises:
            WriteFailed: one did.
            LeaseLost: others have taken over what it belonged to.
        """
        if isinstance(self._error, LeaseLost):
            raise LeaseLost(*self._error.args)
        if self._error is not None:
            raise WriteFailed(
                f"the database could not be written ({cause_of(self._error)}): {self._pending.described()} not stored. "
                "Make it writable again and resume the study: these trials then start over"
            ) from self._error

    def forget(self) -> set[int]:
        """Drop what is queued, and the error of a write that failed: the ids of the trials that it belonged to."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken)
            dropped, self._pending, self._error = self._pending.trials, Batch(), None
            self._written = self._takes
            return dropped

    def holds(self, trial_id: int) -> bool:
        """Whether changes of a trial wait to be written."""
        with self._changed:
            return self._pending.has(trial_id) or self._taken.has(trial_id)

    def flush(self, timeout: float | None = None) -> None:
        """Wait until everything that was added before is written.

        Does nothing in the thread that writes: it is where the garbage collector may close a storage.

        Raises:
            WriteFailed: it cannot be written, or not in time.
        """
        if self._thread is threading.current_thread():
            return
        if self._pending and not self._background:
            self._put(self._take())
        with self._changed:
            target = self._takes + bool(self._pending)
            self._hurried = max(self._hurried, target)
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: self._error or self._written >= target, timeout or _FLUSH_SECONDS)
            self.check()
            if not done:
                raise WriteFailed(f"the database has not taken {self._pending.described()} in time")

    def close(self) -> None:
        """Write everything and end the thread; the next change would start another.

        Raises:
            WriteFailed: not everything can be written.
        """
        thread = self._thread
        try:
            self.flush()
        finally:
            with self._changed:
                self._closing = True
                self._changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_FLUSH_SECONDS)

    def _wake(self) -> None:
        if self._thread is None:
            self._closing = False
            self._thread = threading.Thread(target=self._run, name="tuner-storage", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _run(self) -> None:
        while batch := self._wait():
            self._put(batch)

    def _wait(self) -> Batch:
        """Wait for changes, then for some more of them; an empty batch ends the thread."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._closing)
            self._changed.wait_for(lambda: self._hurried > self._takes or self._closing, _GATHER_SECONDS)
            if not self._pending or self._error:
                self._thread = None
                return Batch()
            return self._take()

    def _take(self) -> Batch:
        self._taken, self._pending = self._pending, Batch()
        self._takes += 1
        return self._taken

    def _put(self, batch: Batch) -> None:
        error: Exception | None = None
        try:
            self._write(batch)
        except Exception as failure:  # noqa: BLE001  it is raised in the owner's thread, by its next call
            error = failure
        with self._changed:
            self._taken, self._error = Batch(), error
            if error is None:
                self._written = self._takes
            else:
                self._pending = batch.followed_by(self._pending)
            self._changed.notify_all()


def patiently(call: Callable[[], Result]) -> Result:
    """Call, and call again while the connection to the database server is lost or refused; SQLite waits by itself.

    Raises:
        StorageInternalError: the database says no.
    """
    deadline, pause = time.monotonic() + _PATIENCE_SECONDS, 0.1
    while True:
        try:
            return call()
        except (sqlalchemy.exc.DBAPIError, StorageInternalError) as error:
            refused = error.__cause__ if isinstance(error, StorageInternalError) else error  # Optuna wraps some
            if not isinstance(refused, sqlalchemy.exc.DBAPIError | sqlalchemy.exc.PendingRollbackError):
                raise
            if not _may_pass(refused) or time.monotonic() + pause > deadline:
                raise StorageInternalError(f"the database cannot be used: {cause_of(error)}") from error
            log.debug("the database is called again: %s", cause_of(error))
        time.sleep(pause)
        pause = min(pause * 2, 2.0)


def cause_of(error: BaseException) -> str:
    """The first line of what a database driver said."""
    while error.__cause__ is not None:
        error = error.__cause__
    original = getattr(error, "orig", None) or error
    return (str(original).strip() or type(original).__name__).splitlines()[0]


def _may_pass(error: sqlalchemy.exc.DBAPIError | sqlalchemy.exc.PendingRollbackError) -> bool:
    """Lost connections, and the conflicts of which a database server lets one party fail."""
    if isinstance(error, sqlalchemy.exc.PendingRollbackError):
        return True  # where reading all trials fails, Optuna reads them in another way over the connection just lost
    if type(error.orig).__module__.startswith("sqlite3"):
        return False
    return error.connection_invalidated or isinstance(
        error, sqlalchemy.exc.OperationalError | sqlalchemy.exc.InterfaceError
    )
