"""MLflow's user interface over a tracking URI, as a child process."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tuner.tracking.client import without_telemetry
from tuner.tracking.uri import without_credentials

_HOST = "127.0.0.1"
_GRACE_SECONDS = 10.0


def serve_ui(tracking_uri: str, port: int) -> int:
    """Serve MLflow's user interface on this machine until Ctrl-C, and say on stderr where.

    Args:
        tracking_uri: of an SQL store; of a server there is nothing to serve, only its address to say.
        port: to listen on; where it is taken, a free one is found.

    Returns:
        The exit code: 0 after Ctrl-C.
    """
    if tracking_uri.startswith(("http://", "https://", "databricks")):
        _say(f"MLflow is a server already: {without_credentials(tracking_uri)}")
        return 0
    free = free_port(port)
    if free != port:
        _say(f"Port {port} is taken.")
    with _stopped_by_sigterm():
        process = _start(tracking_uri, free)
        try:
            return _wait(process, f"http://{_HOST}:{free}")
        except KeyboardInterrupt:
            return 0
        finally:
            _stop(process)


def command(port: int) -> list[str]:
    """The command of the server: one worker; the store comes by the environment, where a password is not on show."""
    options = ["--host", _HOST, "--port", str(port), "--workers", "1", "--uvicorn-opts", "--log-level warning"]
    return [sys.executable, "-m", "mlflow", "server", *options]


def environment(tracking_uri: str) -> dict[str, str]:
    """The environment of the server: no telemetry and no job processes."""
    own = {"MLFLOW_BACKEND_STORE_URI": tracking_uri, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return {**os.environ, "MLFLOW_LOGGING_LEVEL": "WARNING", **own, **without_telemetry()}


def free_port(port: int) -> int:
    """The port, or one that is free where it is taken."""
    for candidate in (port, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no port is free")


def _start(tracking_uri: str, port: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603  in a session of its own, so that the server's own children can be ended with it
        command(port), env=environment(tracking_uri), stdout=2, start_new_session=True
    )


def _wait(process: subprocess.Popen[bytes], address: str) -> int:
    _say("MLflow starts ...")
    while process.poll() is None and not answers(address):
        time.sleep(0.2)
    if process.poll() is None:
        _say(f"MLflow: {address} (Ctrl-C ends it)")
    return process.wait()


def answers(address: str) -> bool:
    """Whether a server answers there."""
    from http.client import HTTPConnection, HTTPException

    connection = HTTPConnection(address.removeprefix("http://"), timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and its children."""
    for ending in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, ending)
            process.wait(_GRACE_SECONDS)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the server as Ctrl-C does, so that it does not outlive us."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: signals are somebody else's
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
