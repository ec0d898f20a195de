"""Changes of trials that wait to be written together: plain data."""

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from optuna.trial import TrialState

Key = tuple[int, Any]  # a trial's id, and what of it


@dataclass
class Batch:
    """The last value of everything that changed; in the order of the first change.

    params: (internal value, distribution as JSON) by parameter. user_attrs, system_attrs: JSON by key. intermediate:
    by step. values: by objective. ends: of trials that ended, their state and the time (UTC).
    """

    params: dict[Key, tuple[float, str]] = field(default_factory=dict)
    user_attrs: dict[Key, str] = field(default_factory=dict)
    system_attrs: dict[Key, str] = field(default_factory=dict)
    intermediate: dict[Key, float] = field(default_factory=dict)
    values: dict[Key, float] = field(default_factory=dict)
    ends: dict[int, tuple[TrialState, datetime]] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts())

    def has(self, trial_id: int) -> bool:
        """Whether it holds anything of a trial."""
        return trial_id in self.trials

    def followed_by(self, later: "Batch") -> "Batch":
        """Both in one: where both say something, the later holds."""
        return Batch(*(one | other for one, other in zip(self._parts(), later._parts(), strict=True)))

    def described(self) -> str:
        """How much of which trials, for a message."""
        trials = sorted(self.trials)
        shown = ", ".join(map(str, trials[:10])) + (", ..." if len(trials) > 10 else "")
        return f"{len(self)} changes of the trials with the ids {shown}"

    @property
    def trials(self) -> set[int]:
        """The ids of the trials that it holds anything of."""
        return {key if isinstance(key, int) else key[0] for part in self._parts() for key in part}

    def _parts(self) -> list[dict[Any, Any]]:
        return [getattr(self, each.name) for each in fields(self)]
