"""The persistent compilation cache: what a study compiled, its repetition and its resumption load from disk.

It is JAX's own cache. Its folder is the user's (``TUNER_CACHE_DIR``, or the platform's cache folder); a folder or
switch that was set for JAX itself is left as it is.
"""

import os
from functools import cache
from pathlib import Path
from typing import Any

import jax
import platformdirs

_LIMIT_BYTES = 1 << 30


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
        trim(folder, _LIMIT_BYTES)
    except OSError:  # a home that cannot be written: everything works, and compiles
        return
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_compilation_cache_dir", str(folder))


def trim(folder: Path, limit_bytes: int) -> None:
    """Remove the files that were not read for longest until the folder's files hold at most ``limit_bytes``."""
    known = [(file, file.stat()) for file in folder.iterdir() if file.is_file()]
    excess = sum(status.st_size for _, status in known) - limit_bytes
    for file, status in sorted(known, key=lambda entry: max(entry[1].st_atime, entry[1].st_mtime)):
        if excess <= 0:
            return
        file.unlink(missing_ok=True)  # another process may have trimmed it too
        excess -= status.st_size
