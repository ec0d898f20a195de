"""The persistent compilation cache: what a study compiled, its repetition and its resumption load from disk.

It is JAX's own cache. Its folder is the user's (``TUNER_CACHE_DIR``, or the platform's cache folder); a folder or
switch that was set for JAX itself is left as it is.
"""

import importlib
import logging
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import jax
import platformdirs

_LIMIT_BYTES = 1 << 30
_CHECKED = "checked"  # the file whose time is that of the last look for damaged programs
_ZSTD, _ZSTD_MODULES = b"\x28\xb5\x2f\xfd", ("compression.zstd", "zstandard")

log = logging.getLogger("tuner")


def cache_folder() -> Path:
    """Where compiled programs, and what was measured of them, are kept between processes."""
    return Path(os.environ.get("TUNER_CACHE_DIR") or platformdirs.user_cache_dir("tuner"))


@cache
def use_persistent_cache() -> None:
    """Switch JAX's persistent compilation cache on, for short compiles too, and drop what was not used for longest.

    A compile of a second is short to JAX, which by default keeps only longer ones; a study has dozens of them.
    """
    config: Any = jax.config
    if config.jax_compilation_cache_dir is not None or not config.jax_enable_compilation_cache:
        return
    folder = cache_folder() / "xla"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        drop_damaged(folder)
        trim(folder, _LIMIT_BYTES)
    except OSError as error:  # a home that cannot be written: everything works, and compiles
        log.warning("programs are not kept for the next run, the cache folder %s cannot be used: %s", folder, error)
        return
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_compilation_cache_dir", str(folder))


def trim(folder: Path, limit_bytes: int) -> None:
    """Remove the files that were not read for longest until the folder's files hold at most ``limit_bytes``."""
    known = [(file, status) for file, status in _statuses(folder) if stat.S_ISREG(status.st_mode)]
    excess = sum(status.st_size for _, status in known) - limit_bytes
    for file, status in sorted(known, key=lambda entry: max(entry[1].st_atime, entry[1].st_mtime)):
        if excess <= 0:
            return
        file.unlink(missing_ok=True)  # another process may have trimmed it too
        excess -= status.st_size


def drop_damaged(folder: Path) -> None:
    """Remove programs that were not written to their end, as by a full disk: JAX would neither load nor replace them.

    It looks only at files that were written since the last look, whose time a file of its own keeps.
    """
    stamp = folder / _CHECKED
    since = stamp.stat().st_mtime if stamp.exists() else 0.0
    stamp.touch()  # first, so that what another process writes meanwhile is looked at next time
    for file, status in _statuses(folder, "*-cache"):
        if status.st_mtime >= since:
            with suppress(FileNotFoundError):
                if not _is_whole(file.read_bytes()):
                    file.unlink()


def _statuses(folder: Path, names: str = "*") -> Iterator[tuple[Path, os.stat_result]]:
    """The files of a folder that other processes trim at the same time: some are gone when one looks."""
    for file in folder.glob(names):
        with suppress(FileNotFoundError):
            yield file, file.stat()


def _is_whole(data: bytes) -> bool:
    """Whether what JAX compressed can be read: with zlib, or with zstd where Python has it."""
    decompress: Any = _zstd() if data.startswith(_ZSTD) else zlib.decompress
    try:
        return decompress is None or bool(decompress(data))
    except Exception:  # noqa: BLE001  each module has errors of its own
        return False


def _zstd() -> Any:
    for name in _ZSTD_MODULES:
        try:
            return importlib.import_module(name).decompress
        except ImportError:
            continue
    return None
