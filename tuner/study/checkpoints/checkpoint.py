"""What a checkpoint holds: the trials that run, and how they came to be where they are."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tuner.lanes.machine import this_machine
from tuner.lanes.snapshots import Snapshot

FORMAT = 1

Arrays = dict[str, dict[str, np.ndarray]]
"""Of each trial that has lanes, by its number as text: its lanes' arrays by their place."""


@dataclass(frozen=True, eq=False)
class Kept:
    """A trial that runs: when it began (milliseconds), what it measured by epoch, and its lanes.

    folds, means: as in the history of a trial. rungs: what the pruner noted of it.
    """

    number: int
    started: int
    folds: list[list[float]]
    means: dict[str, list[float]]
    rungs: dict[str, Any]
    snapshot: Snapshot


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A study between two rounds.

    created: trials that there were. waiting: those of them that had not begun. trials: those that ran, in the order in
    which they get their lanes. scheduler: of the engine, plain data. experiment: a digest of the experiment and the
    seed. machine: that it was made on.
    """

    created: int
    waiting: Sequence[int]
    trials: Sequence[Kept]
    scheduler: Mapping[str, Any]
    experiment: str = ""
    machine: Mapping[str, Any] = field(default_factory=this_machine)

    @property
    def ended(self) -> set[int]:
        """The trials that had ended."""
        return set(range(self.created)) - set(self.waiting) - {kept.number for kept in self.trials}

    def differences(self) -> list[str]:
        """What is not as it was when the checkpoint was made: trainings may differ by rounding then."""
        now = this_machine()
        then = self.machine
        return [f"{name}: {then.get(name)} became {now[name]}" for name in now if then.get(name) != now[name]]

    def split(self) -> tuple[dict[str, Any], Arrays]:
        """Plain data, and the arrays that belong to it."""
        plain = {"format": FORMAT, "created": self.created, "waiting": list(self.waiting)}
        plain |= {"scheduler": dict(self.scheduler), "experiment": self.experiment, "machine": dict(self.machine)}
        arrays = {
            str(kept.number): {
                str(place): array for place, array in enumerate(kept.snapshot.lanes.values()) if array.size
            }
            for kept in self.trials
            if kept.snapshot.lanes
        }
        return plain | {"trials": [_plain(kept) for kept in self.trials]}, arrays

    @classmethod
    def joined(cls, plain: Mapping[str, Any], arrays: Mapping[str, Mapping[str, np.ndarray]]) -> "Checkpoint":
        """What ``split`` took apart.

        Raises:
            ValueError, KeyError, TypeError: that is none.
        """
        if plain["format"] != FORMAT:
            raise ValueError(f"format {plain['format']}")
        trials = [_kept(stored, arrays.get(str(stored["number"]), {})) for stored in plain["trials"]]
        return cls(
            plain["created"], plain["waiting"], trials, plain["scheduler"], plain["experiment"], plain["machine"]
        )


def _plain(kept: Kept) -> dict[str, Any]:
    snapshot = kept.snapshot
    shape = {"caps": dict(snapshot.caps), "trials": snapshot.trials, "together": snapshot.together}
    shape |= {"devices": snapshot.devices, "epoch": snapshot.epoch, "weights": list(snapshot.weights)}
    names = {"lanes": [[name, list(array.shape), str(array.dtype)] for name, array in snapshot.lanes.items()]}
    history = {"folds": kept.folds, "means": kept.means, "rungs": kept.rungs}
    return {"number": kept.number, "started": kept.started, **history, "snapshot": shape | names}


def _kept(stored: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Kept:
    shape = dict(stored["snapshot"])
    lanes = {
        name: arrays[str(place)] if math.prod(size) else np.zeros(size, kind)  # Orbax keeps nothing that is empty
        for place, (name, size, kind) in enumerate(shape.pop("lanes"))
    }
    snapshot = Snapshot(**shape | {"weights": tuple(shape["weights"])}, lanes=lanes)
    history = {name: stored[name] for name in ("folds", "means", "rungs")}
    return Kept(stored["number"], stored["started"], **history, snapshot=snapshot)
