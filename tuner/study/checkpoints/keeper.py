"""When trials are kept: once an interval is over, each as soon as it stands still between two epochs."""

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from tuner.study.checkpoints.checkpoint import Checkpoint, Kept
from tuner.study.checkpoints.estate import Estate
from tuner.study.checkpoints.files import CheckpointFiles


class Keeper:
    """Gathers a checkpoint without making any trial wait for another.

    Args:
        files: where checkpoints are written.
        interval: seconds from one to the next; 0 keeps none.
        experiment: a digest of the experiment and the seed.
        estate: what other workers have left.
        found: the checkpoint to go on from; its trials are waiting.
    """

    def __init__(
        self,
        files: CheckpointFiles,
        interval: float,
        experiment: str,
        estate: Estate,
        found: Checkpoint | None = None,
    ) -> None:
        self._files, self._interval, self._experiment = files, interval or math.inf, experiment
        self._estate, self._found = estate, found
        self._due = time.monotonic() + self._interval
        self._wanted: list[int] = []
        self._kept: dict[int, Kept] = {}

    def found(self) -> Checkpoint | None:
        """The checkpoint to go on from, once: what it holds is as large as all lanes."""
        found, self._found = self._found, None
        return found

    def inherited(self, number: int) -> Kept | None:
        """A trial as a worker that is gone has kept it; None where none has."""
        return self._estate.kept(number)

    def rename(self, name: str) -> None:
        """Keep what runs under another name, of a worker that has nothing yet: others may take what it had kept."""
        self._files.rename(name)
        self._estate.forget()
        self._wanted, self._kept = [], {}

    def first(self, checkpoint: Checkpoint) -> None:
        """Write one of a study that begins: whatever happens until the next is done once more."""
        if self._interval < math.inf:
            self._save(checkpoint)

    def look(
        self,
        running: Sequence[int],
        training: Collection[int],
        kept_of: Callable[[int], Kept | None],
        checkpoint_of: Callable[[Sequence[Kept]], Checkpoint],
    ) -> None:
        """Keep what stands still, if a checkpoint is due, and write it once all trials are kept.

        Args:
            running: the trials that run, in the order in which they get their lanes.
            training: those of them whose epoch is under way.
            kept_of: a trial as it is; None where there is nothing to keep.
            checkpoint_of: the checkpoint of all.
        """
        if not self._wanted:
            if not running or time.monotonic() < self._due or self._files.is_writing:
                return
            self._wanted, self._due = list(running), time.monotonic() + self._interval
        for number in self._wanted:
            if number in running and number not in training and number not in self._kept:
                kept = kept_of(number)
                if kept is not None:
                    self._kept[number] = kept
        self._wanted = [number for number in self._wanted if number in running]
        if not set(self._wanted) & set(training) - self._kept.keys():
            self._write(checkpoint_of)

    def last(
        self,
        running: Sequence[int],
        kept_of: Callable[[int], Kept | None],
        checkpoint_of: Callable[[Sequence[Kept]], Checkpoint],
    ) -> None:
        """Keep all trials, none of which is training: the study stops here."""
        if self._interval == math.inf:
            return
        self._files.wait()
        self._wanted = list(running)
        self._kept = {number: kept for number in running if (kept := kept_of(number)) is not None}
        self._write(checkpoint_of)
        self._files.wait()

    def _write(self, checkpoint_of: Callable[[Sequence[Kept]], Checkpoint]) -> None:
        kept = [self._kept[number] for number in self._wanted if number in self._kept]
        self._wanted, self._kept = [], {}
        if kept:
            self._save(checkpoint_of(kept))

    def _save(self, checkpoint: Checkpoint) -> None:
        self._files.save(replace(checkpoint, experiment=self._experiment))
