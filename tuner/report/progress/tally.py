"""How far a study is: plain data, from what a sink is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tuner.tracking import StudyRecord, TrialRecord


@dataclass
class Running:
    """A trial that trains: epochs so far, the fold mean of the last one, and its folds."""

    epoch: int = 0
    value: float | None = None
    folds: int = 0


@dataclass
class Tally:
    """What is known of a study.

    total: trials that it shall hold in the end. ended: trials that have, here and elsewhere. known: of them, those
    that had before. running: by number, in the order in which they began.
    """

    total: int
    ended: int = 0
    known: int = 0
    failed: int = 0
    best: TrialRecord | None = None
    maximize: bool = True
    metric: str = "value"
    running: dict[int, Running] = field(default_factory=dict)

    def study(self, study: StudyRecord, known: Sequence[TrialRecord]) -> None:
        """A study begins or goes on."""
        self.maximize = study.tags.get("tuner.direction") != "minimize"
        self.metric = study.tags.get("tuner.metric", "value")
        for trial in known:
            self.end(trial)
        self.known = len(known)

    def epoch(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """A trial finished an epoch."""
        folds = sum(name.startswith(f"{self.metric}/fold_") for name in metrics)
        self.running[number] = Running(epoch, metrics.get(self.metric), folds)

    def end(self, trial: TrialRecord) -> bool:
        """A trial ended; whether it is the best so far."""
        self.ended += 1
        self.failed += trial.state == "failed"
        self.running.pop(trial.number, None)
        if trial.value is None or not self._is_better(trial.value):
            return False
        self.best = trial
        return True

    def _is_better(self, value: float) -> bool:
        best = None if self.best is None else self.best.value
        return best is None or (value > best if self.maximize else value < best)

    @property
    def lanes(self) -> int:
        """Lanes that train: folds of running trials."""
        return sum(trial.folds for trial in self.running.values())

    def an_hour(self, seconds: float) -> float | None:
        """Trials an hour, of those that ended in these seconds; None before the first."""
        ended = self.ended - self.known
        return 3600 * ended / seconds if ended and seconds > 0 else None

    def seconds_left(self, seconds: float) -> float | None:
        """Seconds that the trials to come take at this speed; None before the first has ended."""
        rate = self.an_hour(seconds)
        return None if rate is None else 3600 * max(self.total - self.ended, 0) / rate
