"""What workers that are gone have left: their checkpoints, for whoever takes their trials over."""

from collections.abc import Callable, Collection
from pathlib import Path

from tuner.study.checkpoints.checkpoint import Checkpoint, Kept
from tuner.study.checkpoints.files import newest_in


class Estate:
    """The checkpoints of a study's workers that are gone, as far as this machine sees their folders.

    Args:
        folder: of the study; each worker has one of its own in it.
        experiment: a digest of the experiment and the seed: checkpoints of another are not used.
        alive: the names of the workers that are not gone.
    """

    def __init__(self, folder: Path, experiment: str, alive: Callable[[], Collection[str]]) -> None:
        self._folder, self._experiment, self._alive = folder, experiment, alive
        self._read: dict[Path, dict[int, Kept]] = {}  # what was not asked for yet

    def adopt(self, name: str) -> Checkpoint | None:
        """Make the latest folder that was left one's own, and its newest checkpoint.

        Of several workers that want the same folder one gets it.

        Args:
            name: of the worker.
        """
        for folder in self._left():
            try:
                mine = folder.rename(self._folder / name)
            except OSError:  # another worker was faster
                continue
            return newest_in(mine)
        return None

    def kept(self, number: int) -> Kept | None:
        """A trial as a worker that is gone has kept it last."""
        left = self._left()
        self._read = {
            folder: self._read[folder] if folder in self._read else self._trials_in(folder) for folder in left
        }
        found = [trials.pop(number) for trials in self._read.values() if number in trials]
        return max(found, key=lambda kept: kept.snapshot.epoch, default=None)

    def forget(self) -> None:
        """Look again for what was asked for before."""
        self._read.clear()

    def fits(self, checkpoint: Checkpoint) -> bool:
        """Whether a checkpoint is of this experiment and seed."""
        return checkpoint.experiment == self._experiment

    def _trials_in(self, folder: Path) -> dict[int, Kept]:
        checkpoint = newest_in(folder)
        return (
            {} if checkpoint is None or not self.fits(checkpoint) else {kept.number: kept for kept in checkpoint.trials}
        )

    def _left(self) -> list[Path]:
        """The folders of workers that are gone, the latest first."""
        if not self._folder.is_dir():
            return []
        alive = set(self._alive())
        left = [folder for folder in self._folder.iterdir() if folder.is_dir() and folder.name not in alive]
        return sorted(left, key=_written, reverse=True)


def _written(folder: Path) -> float:
    """When a folder was written last; long ago where another worker has just made it its own."""
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0
