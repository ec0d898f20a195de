"""Checkpoints on disk: written behind the loop by Orbax, whole or not at all, with a checksum of every file."""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from platformdirs import user_state_path

from tuner.study.checkpoints.checkpoint import Checkpoint
from tuner.study.storage import sqlite_file

_BESIDE = ".checkpoints"  # what is added to the name of an SQLite file
KEPT = 2  # the newest, and the one before in case that is damaged
CHECKSUMS = "checksums.json"
_MOST_SAID = 200  # characters

log = logging.getLogger("tuner")


def folder_of(storage_url: str, key: str, chosen: str | None = None) -> Path | None:
    """Where a study's checkpoints are: in a folder that was chosen, beside its SQLite file, or in the user's folder.

    None where the database is in memory (or opened in a way of SQLite's own), and nothing can be resumed.
    """
    if not key.isalnum():
        raise ValueError(f"a study's key is letters and digits: {key!r}")
    file = sqlite_file(storage_url)
    if storage_url.startswith("sqlite") and file is None:
        return None
    if chosen is not None:
        return Path(chosen) / f"tuner-{key}"  # a database may name any folder: in it only tuner's own are removed
    if file is None:
        return Path(user_state_path("tuner")) / "checkpoints" / key
    return file.with_name(f"{file.name}{_BESIDE}") / key


class CheckpointFiles:
    """The checkpoints of one of a study's workers.

    Args:
        folder: of this worker alone, in that of the study.
        flush: makes durable what a checkpoint relies on, before it counts.

    Attributes:
        seconds: that writing took, behind the loop.
        problem: why the last one could not be written; None where it could.
    """

    def __init__(self, folder: Path, flush: Callable[[], None]) -> None:
        self.folder, self._flush = folder, flush
        self.seconds = 0.0
        self.problem: str | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="tuner-checkpoint")
        self._writing: Future[None] | None = None

    def rename(self, worker: str) -> None:
        """Write into the folder of another worker from now on: what is in the old one is for whoever takes it."""
        self.wait()
        self.folder = self.folder.with_name(worker)

    @property
    def is_writing(self) -> bool:
        """Whether one is being written."""
        return self._writing is not None and not self._writing.done()

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint behind the loop. It replaces older ones when it is there, whole."""
        self._writing = self._writer.submit(self._save, checkpoint)

    def wait(self) -> None:
        """Wait until what was saved is there."""
        if self._writing is not None:
            self._writing.result()

    def clear(self) -> None:
        """Remove all: nothing is left for this worker to go on with."""
        self.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _save(self, checkpoint: Checkpoint) -> None:
        began = time.perf_counter()
        paths = _checkpoints_in(self.folder)
        name = int(paths[-1].name) + 1 if paths else 1
        draft = self.folder / f"{name}.draft"
        try:
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            _write(draft, checkpoint)
            self._flush()
            draft.rename(self.folder / str(name))
            _sync(self.folder)
            for path in paths[: 1 - KEPT]:
                shutil.rmtree(path)
            self.problem = None
        except Exception as error:  # noqa: BLE001  the study goes on without one
            shutil.rmtree(draft, ignore_errors=True)
            if self.problem is None:
                log.warning("no checkpoint can be written, the study goes on without: %s", error)
            self.problem = str(error)
        self.seconds += time.perf_counter() - began


def newest_in(folder: Path) -> Checkpoint | None:
    """The newest checkpoint of a folder that is whole; of damaged ones it is said that they are."""
    for path in reversed(_checkpoints_in(folder)):
        try:
            return _read(path)
        except Exception as error:  # noqa: BLE001  whatever a damaged file makes Orbax raise
            log.warning("the checkpoint %s cannot be used: %s", path, _shortly(error))
    return None


def _shortly(error: Exception) -> str:
    """What Orbax says goes on for pages."""
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return textwrap.shorten(said, _MOST_SAID)


def clear_study(folder: Path) -> None:
    """Remove the checkpoints of all workers of a study, which has ended."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.parent.name.endswith(_BESIDE):
        with contextlib.suppress(OSError):  # other studies of the database have some
            folder.parent.rmdir()


def _checkpoints_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))


def _write(folder: Path, checkpoint: Checkpoint) -> None:
    plain, arrays = checkpoint.split()
    (folder / "study.json").write_text(json.dumps(plain))
    if arrays:
        _orbax().save((folder / "lanes").absolute(), arrays)
    sums = {str(file.relative_to(folder)): _checksum(file) for file in _files(folder)}
    (folder / CHECKSUMS).write_text(json.dumps(sums))
    for file in _files(folder):
        _sync(file)


def _read(folder: Path) -> Checkpoint:
    sums = json.loads((folder / CHECKSUMS).read_text())
    found = {str(file.relative_to(folder)): _checksum(file) for file in _files(folder) if file.name != CHECKSUMS}
    if found != sums:
        wrong = sorted(name for name in {*found, *sums} if found.get(name) != sums.get(name))
        raise ValueError(f"{wrong[0]} is not what was written")
    lanes = (folder / "lanes").absolute()
    arrays = _orbax().restore(lanes) if lanes.is_dir() else {}
    return Checkpoint.joined(json.loads((folder / "study.json").read_text()), arrays)


def _orbax() -> Any:
    """Orbax takes a second to import: only a study that writes or finds a checkpoint pays for it."""
    import orbax.checkpoint

    logging.getLogger("absl").setLevel(logging.ERROR)
    return orbax.checkpoint.PyTreeCheckpointer()


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _checksum(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
