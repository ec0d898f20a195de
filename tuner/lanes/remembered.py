"""What studies found out about programs and the next ones need not find out again: which were compiled, how fast.

One small JSON file a family of programs, in the cache folder beside the programs themselves. It only saves time: where
it is missing, old or damaged, everything is found out again.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import jax
from pydantic import BaseModel, Field

from tuner.lanes.cache import cache_folder


class Known(BaseModel):
    """What is known of a family: the caps of the programs in the cache, and its way over the lanes, once measured."""

    caps: list[tuple[int, ...]] = []
    way: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = None


class Remembered:
    """What is known of a family of programs, kept between processes.

    Args:
        identity: what the data belongs to, as text; the device and JAX's version are added.
    """

    def __init__(self, identity: str) -> None:
        device = jax.local_devices()[0]
        key = "\n".join([identity, jax.__version__, device.platform, device.device_kind, str(os.cpu_count())])
        self._file = cache_folder() / "programs" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"

    def read(self) -> Known:
        """What is known; nothing where the file is missing or damaged."""
        try:
            return Known.model_validate_json(self._file.read_bytes())
        except (OSError, ValueError):
            return Known()

    def add(self, **found: Any) -> None:
        """Remember fields of ``Known``, beside what is known."""
        with suppress(OSError):  # a home that cannot be written
            self._file.parent.mkdir(parents=True, exist_ok=True)
            _replace(self._file, self.read().model_copy(update=found).model_dump_json())


def _replace(file: Path, text: str) -> None:
    """Write a file so that other processes see the old or the new one, never half of it."""
    beside = file.with_suffix(f".{os.getpid()}")
    beside.write_text(text)
    beside.replace(file)
