"""Progress while a study runs: a line for each trial that ends, on stderr."""

import time
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from tuner.tracking import NullSink, StudyRecord, TrialRecord


class ProgressSink(NullSink):
    """Prints what happens.

    Args:
        total: trials that the study shall hold in the end.
        maximize: whether larger values are better.
        console: where to print.
    """

    def __init__(self, total: int, console: Console | None = None) -> None:
        self._total = total
        self._console = console or Console(stderr=True, highlight=False)
        self._ended = 0
        self._best: TrialRecord | None = None
        self._maximize = True
        self._began = time.monotonic()

    def study_started(self, study: StudyRecord, known: Sequence[TrialRecord] = ()) -> None:
        """Print what the study is and what it holds already."""
        self._maximize = study.tags.get("tuner.direction") != "minimize"
        for trial in known:
            self._count(trial)
        held = f", {len(known)} of its trials are there" if known else ""
        self._print(f"study {study.study}: {self._total} trials{held}; compiling the first programs ...")

    def trial_ended(self, trial: TrialRecord) -> None:
        """Print the trial's end."""
        self._count(trial)
        outcome = f"{trial.value:.4f}" if trial.value is not None else trial.reason or ""
        best = "" if self._best is None else f"  best {self._best.value:.4f} (trial {self._best.number})"
        seconds = time.monotonic() - self._began
        self._print(
            f"{self._ended:>4}/{self._total}  {seconds:6.1f} s  trial {trial.number:<4} {trial.state:<8} "
            f"{outcome}{best}"
        )

    def _count(self, trial: TrialRecord) -> None:
        self._ended += 1
        if trial.value is None:
            return
        best = None if self._best is None else self._best.value
        if best is None or (trial.value > best if self._maximize else trial.value < best):
            self._best = trial

    def _print(self, line: str) -> None:
        self._console.print(escape(line), soft_wrap=True)
