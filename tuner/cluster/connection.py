"""Starting Ray on this machine, or joining a cluster that runs."""

import contextlib
import importlib.util
import os
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tuner.errors import InputError

LOCAL = "local"
_CONNECT_SECONDS = 5
_OBJECTS = 100 * 2**20  # bytes of Ray's object store: nothing large goes through it
_START = "Start it with ray start --head, and give this command on one of its machines; --ray alone starts Ray here."


@dataclass(frozen=True)
class Machine:
    """One of a cluster: its address, and what it has by Ray's names."""

    address: str
    resources: dict[str, float]


@contextlib.contextmanager
def connected(address: str) -> Iterator[list[Machine]]:
    """Be connected to Ray in the block, and know its machines. A Ray that was started for it ends with it.

    Args:
        address: HOST:PORT, ``auto`` for the cluster that this machine belongs to, ``local`` to start one here.

    Raises:
        InputError: Ray is not installed, or cannot be reached.
    """
    if importlib.util.find_spec("ray") is None:
        raise InputError("Ray is not installed", "--ray", "Install it: pip install 'tuner[ray]'.")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    _start() if address == LOCAL else _join(address)
    import ray

    try:
        yield [Machine(node["NodeManagerAddress"], node["Resources"]) for node in ray.nodes() if node["Alive"]]
    finally:
        ray.shutdown()


def _start() -> None:
    """Start Ray here, where it listens to this machine alone, and takes orders from who knows its token.

    Ray takes the address of a network interface, even if it is told 127.0.0.1, unless clusters are off: a switch that
    it has for systems whose firewall asks the user. The token it would else write to a file in the user's home that
    others may read.
    """
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    import ray

    ray.init(address=LOCAL, include_dashboard=False, object_store_memory=_OBJECTS, **_QUIET)


def _join(address: str) -> None:
    if address.startswith("ray://"):
        fix = "Give the address of the cluster itself, HOST:6379 say, on one of its machines."
        raise InputError("the workers cannot be reached through a Ray client", address, fix)
    if address != "auto":
        _check_answers(address)
    import ray

    try:
        ray.init(address=address, **_QUIET)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"the Ray cluster cannot be joined ({reason})", address, _START) from error


_QUIET: dict[str, Any] = {"logging_level": "error"}


def _check_answers(address: str) -> None:
    """Find out within seconds what Ray would try for a minute."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise InputError("--ray takes HOST:PORT, auto or nothing", address, _START)
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"no Ray cluster answers ({error})", address, _START) from None
