"""What tuner finds on this machine: versions, devices, folders, and whether what it needs works."""

import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tuner.lanes.cache import cache_folder
from tuner.lanes.machine import seconds_to_compile, this_machine
from tuner.study.checkpoints import folder_of
from tuner.study.storage import check_storage_url, open_storage, sqlite_file, without_password
from tuner.tracking import check_tracking_uri, experiments_in, sqlite_path, without_credentials

SECONDS = 5.0  # for all that is tried; what has not answered by then does not work
_LIBRARIES = ("tuner", "jax", "flax", "optax", "optuna", "mlflow", "numpy", "orbax-checkpoint")


@dataclass(frozen=True)
class Finding:
    """What was looked at, what was found, and whether it works; None where there is nothing to work."""

    what: str
    found: str
    works: bool | None = None


def examine(storage: str, tracking_uri: str, seconds: float = SECONDS) -> list[Finding]:
    """Look at everything, side by side.

    Args:
        storage: URL of the database.
        tracking_uri: MLflow's.
        seconds: for all.
    """
    tries = {
        "devices": _devices,
        "compiler": _compiler,
        "database": lambda: _database(storage),
        "tracking": lambda: _tracking(tracking_uri),
        "programs": _programs,
        "checkpoints": lambda: _checkpoints(storage),
    }
    return [Finding("versions", _versions()), *_all(tries, seconds)]


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """The findings by what was looked at."""
    return {finding.what: {"found": finding.found, "works": finding.works} for finding in findings}


def as_text(findings: Sequence[Finding]) -> str:
    """The findings, a line each."""
    width = max(len(finding.what) for finding in findings) + 2
    marks = {True: "ok", False: "no", None: "  "}
    return "\n".join(f"{marks[each.works]}  {each.what:<{width}}{each.found}" for each in findings)


def _all(tries: dict[str, Callable[[], str]], seconds: float) -> list[Finding]:
    deadline, found = time.monotonic() + seconds, dict[str, Finding]()
    threads = [
        threading.Thread(target=_try, args=(what, call, found), daemon=True, name=f"tuner-doctor-{what}")
        for what, call in tries.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    silent = f"no answer in {seconds:g} s"
    return [found.get(what) or Finding(what, silent, works=False) for what in tries]


def _try(what: str, call: Callable[[], str], found: dict[str, Finding]) -> None:
    try:
        found[what] = Finding(what, call(), works=True)
    except Exception as error:  # noqa: BLE001  whatever it is, it is the finding
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        found[what] = Finding(what, said, works=False)


def _versions() -> str:
    known = [f"{name} {_version(name)}" for name in _LIBRARIES]
    return f"{', '.join(known)}, Python {platform.python_version()} on {sys.platform} {platform.machine()}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "is not installed"


def _devices() -> str:
    machine = this_machine()
    return f"{machine['devices']} x {machine['device']} ({machine['platform']}), {machine['cores']} cores"


def _compiler() -> str:
    return f"{seconds_to_compile():.1f} s for a small program"


def _database(url: str) -> str:
    check_storage_url(url)
    if _is_to_be_made(sqlite_file(url)):
        return f"{without_password(url)}, made by the first run"
    storage = open_storage(url, writable=False)
    try:
        return f"{without_password(url)}, studies: {len(storage.names())}"
    finally:
        storage.close()


def _tracking(uri: str) -> str:
    check_tracking_uri(uri)
    if _is_to_be_made(sqlite_path(uri)):
        return f"{without_credentials(uri)}, made by the first run"
    return f"{without_credentials(uri)}, experiments: {experiments_in(uri)}"


def _programs() -> str:
    folder = cache_folder()
    _check_writable(folder)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return f"{folder}, {size / 2**20:.0f} MiB"


def _checkpoints(storage: str) -> str:
    folder = folder_of(storage, "key")
    if folder is None:
        return "none, the database is in memory"
    _check_writable(folder)
    return str(folder.parent)


def _is_to_be_made(file: Path | None) -> bool:
    """Whether an SQLite file is not there yet.

    Raises:
        PermissionError: it, or its folder, cannot be written.
    """
    if file is None:
        return False
    _check_writable(file.absolute())
    return not file.exists()


def _check_writable(path: Path) -> None:
    """Check that a file or folder can be written, or made.

    Raises:
        PermissionError: it cannot.
    """
    nearest = next(each for each in (path, *path.parents) if each.exists())
    if not os.access(nearest, os.W_OK):
        raise PermissionError(f"{nearest} cannot be written")
