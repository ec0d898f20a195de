"""MLflow's user interface over a tracking URI, as a child process."""

import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from tuner.errors import InputError
from tuner.tracking.client import without_telemetry
from tuner.tracking.uri import without_credentials

_LOOPBACK = "127.0.0.1"
_GRACE_SECONDS = 10.0


def serve_ui(tracking_uri: str, port: int, host: str = _LOOPBACK, *, open_browser: bool = False) -> int:
    """Serve MLflow's user interface until Ctrl-C, and say on stderr where, and to whom.

    Args:
        tracking_uri: of an SQL store; of a server there is nothing to serve, only its address to say.
        port: to listen on; where it is taken, a free one is found.
        host: to listen on; by default nobody but this machine is listened to.
        open_browser: whether the browser is sent there.

    Returns:
        The exit code: 0 after Ctrl-C.

    Raises:
        InputError: this machine has no such address.
    """
    if tracking_uri.startswith(("http://", "https://", "databricks")):
        _say(f"MLflow is a server already: {without_credentials(tracking_uri)}")
        if open_browser:
            webbrowser.open(without_credentials(tracking_uri))
        return 0
    free = free_port(port, host)
    if port and free != port:
        _say(f"Port {port} is taken.")
    with _stopped_by_sigterm():
        process = _start(tracking_uri, free, host)
        try:
            return _wait(process, host, free, open_browser=open_browser)
        except KeyboardInterrupt:
            return 0
        finally:
            _stop(process)


def command(port: int, host: str = _LOOPBACK) -> list[str]:
    """The command of the server: one worker; the store comes by the environment, where a password is not on show."""
    options = ["--host", host, "--port", str(port), "--workers", "1", "--uvicorn-opts", "--log-level warning"]
    return [sys.executable, "-m", "mlflow", "server", *options]


def environment(tracking_uri: str) -> dict[str, str]:
    """The environment of the server: no telemetry and no job processes."""
    own = {"MLFLOW_BACKEND_STORE_URI": tracking_uri, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return {**os.environ, "MLFLOW_LOGGING_LEVEL": "WARNING", **own, **without_telemetry()}


def free_port(port: int, host: str = _LOOPBACK) -> int:
    """The port, or one that is free where it is taken.

    Raises:
        InputError: this machine has no such address.
    """
    problem: OSError | UnicodeError | None = None
    for candidate in (port, 0):
        with socket.socket(_family(host)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, candidate))
            except (OSError, UnicodeError) as error:
                problem = error
                continue
            return int(probe.getsockname()[1])
    raise InputError(f"this address cannot be listened on ({problem})", host, f"Give --host {_LOOPBACK}, say.")


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach an address."""
    with suppress(OSError, ValueError, UnicodeError):
        found = {info[4][0] for info in socket.getaddrinfo(host, None, _family(host))}
        return bool(found) and all(ipaddress.ip_address(address).is_loopback for address in found)
    return False


def _start(tracking_uri: str, port: int, host: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603  in a session of its own, so that the server's own children can be ended with it
        command(port, host), env=environment(tracking_uri), stdout=2, start_new_session=True
    )


def _wait(process: subprocess.Popen[bytes], host: str, port: int, *, open_browser: bool) -> int:
    address = f"http://{_here(host)}:{port}"
    _say("MLflow starts ...")
    if not is_loopback(host):
        _say(f"It listens on {host}: whoever reaches it can read and change the results, without a password.")
    while process.poll() is None and not answers(address):
        time.sleep(0.2)
    if process.poll() is None:
        _say(f"MLflow: {address} (Ctrl-C ends it)")
        if open_browser:
            webbrowser.open(address)
    return process.wait()


def _here(host: str) -> str:
    """The address by which this machine reaches itself where a server listens on one, or on all."""
    own = {"0.0.0.0": _LOOPBACK, "": _LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104  it is not listened on
    return f"[{own}]" if ":" in own else own


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
