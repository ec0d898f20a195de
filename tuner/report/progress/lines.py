"""Progress as plain lines: one for each trial that ends."""

import time
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from tuner.report.progress.tally import Tally
from tuner.tracking import NullSink, StudyRecord, TrialRecord


class Lines(NullSink):
    """Prints what happens.

    Args:
        total: trials that the study shall hold in the end.
        console: where to print.
    """

    def __init__(self, total: int, console: Console) -> None:
        self._tally, self._console = Tally(total), console
        self._began = time.monotonic()

    def study_started(self, study: StudyRecord, known: Sequence[TrialRecord] = ()) -> None:
        """Print what the study is and what it holds already."""
        self._tally.study(study, known)
        self._print(greeting(study, known, self._tally.total))

    def trial_ended(self, trial: TrialRecord) -> None:
        """Print the trial's end."""
        self._tally.end(trial)
        best = self._tally.best
        so_far = "" if best is None else f"  best {best.value:.4f} (trial {best.number})"
        seconds = time.monotonic() - self._began
        self._print(
            f"{self._tally.ended:>4}/{self._tally.total}  {seconds:6.1f} s  trial {trial.number:<4} {trial.state:<8} "
            f"{outcome(trial)}{so_far}"
        )

    def study_counted(self, ended: int) -> None:
        """Count what ended elsewhere."""
        self._tally.ended = max(self._tally.ended, ended)

    def _print(self, line: str) -> None:
        self._console.print(escape(line), soft_wrap=True)


def greeting(study: StudyRecord, known: Sequence[TrialRecord], total: int) -> str:
    """What a study is, and what it holds already."""
    held = f", {len(known)} of its trials are there" if known else ""
    return f"study {study.study}: {total} trials{held}; compiling the first programs ..."


def outcome(trial: TrialRecord) -> str:
    """A trial's value, or why it has none."""
    return f"{trial.value:.4f}" if trial.value is not None else trial.reason or ""
