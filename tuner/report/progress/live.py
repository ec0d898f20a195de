"""Progress as one view that stays where it is, and a line above it for what is worth one."""

import logging
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tuner.report.progress.lines import greeting, outcome
from tuner.report.progress.tally import Tally
from tuner.tracking import NullSink, StudyRecord, TrialRecord

_SHOWN = 8  # running trials
_A_SECOND = 4  # pictures


class LiveView(NullSink):
    """Shows trials done of all, those that run, the best so far, lanes, speed and time left.

    Args:
        total: trials that the study shall hold in the end.
        console: a terminal.
    """

    def __init__(self, total: int, console: Console) -> None:
        self._tally, self._console = Tally(total), console
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._live = Live(
            get_renderable=self._picture,
            console=console,
            refresh_per_second=_A_SECOND,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
        )
        self._logs: list[tuple[logging.StreamHandler[Any], TextIO]] = []

    def study_started(self, study: StudyRecord, known: Sequence[TrialRecord] = ()) -> None:
        """Say what the study is, and begin to show it."""
        with self._lock:
            self._tally.study(study, known)
        self._say(greeting(study, known, self._tally.total))
        self._start()

    def epoch(self, number: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """Note it."""
        with self._lock:
            self._tally.epoch(number, epoch, metrics)

    def trial_requeued(self, number: int) -> None:
        """It does not run any more."""
        with self._lock:
            self._tally.running.pop(number, None)

    def trial_ended(self, trial: TrialRecord) -> None:
        """A line for the best so far, and for one that failed."""
        with self._lock:
            is_best = self._tally.end(trial)
        if is_best:
            self._say(f"trial {trial.number}: {outcome(trial)}, the best so far")
        elif trial.state == "failed":
            self._say(f"trial {trial.number} failed: {outcome(trial)}")

    def study_counted(self, ended: int) -> None:
        """Count what ended elsewhere."""
        with self._lock:
            self._tally.ended = max(self._tally.ended, ended)

    def close(self, timeout: float | None = None, idle: float | None = None) -> None:
        """Leave nothing of the view."""
        del timeout, idle
        self._live.stop()
        for handler, stream in self._logs:
            handler.setStream(stream)
        self._logs = []

    def _start(self) -> None:
        self._live.start()
        self._console.show_cursor(show=True)  # a process that is ended in a hurry does not give it back
        for handler in logging.getLogger().handlers:  # what is logged goes above the view from now on
            if isinstance(handler, logging.StreamHandler) and (before := handler.setStream(sys.stderr)) is not None:
                self._logs.append((handler, before))

    def _say(self, line: str) -> None:
        self._console.print(escape(line), soft_wrap=True)

    def _picture(self) -> Group:
        seconds = time.monotonic() - self._began
        with self._lock:
            tally = self._tally
            bar = ProgressBar(total=tally.total, completed=min(tally.ended, tally.total), width=40)
            done = Table.grid(padding=(0, 2))
            done.add_row(bar, Text(f"{tally.ended}/{tally.total} trials"), Text(pace(tally, seconds)))
            return Group(done, Text(standing(tally)), _running(tally))


def pace(tally: Tally, seconds: float) -> str:
    """How long it has taken, how fast it is, how long it will take."""
    if tally.ended >= tally.total:
        return f"{clock(seconds)}, finishing"
    rate, left = tally.an_hour(seconds), tally.seconds_left(seconds)
    if rate is None or left is None:
        return clock(seconds)
    return f"{clock(seconds)}, {rate:,.0f} trials an hour, {clock(left)} left"


def standing(tally: Tally) -> str:
    """The best so far, lanes, failures."""
    best = "none yet" if tally.best is None else f"{tally.best.value:.4f} (trial {tally.best.number})"
    failed = f"   {tally.failed} failed" if tally.failed else ""
    return f"best {tally.metric} {best}   {tally.lanes} lanes busy{failed}"


def clock(seconds: float) -> str:
    """Seconds as people say them: 12 s, 3:05, 2:03:05."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _running(tally: Tally) -> Table:
    table = Table.grid(padding=(0, 2))
    for number, trial in list(tally.running.items())[:_SHOWN]:
        value = "" if trial.value is None else f"{trial.value:.4f}"
        table.add_row(f"  trial {number}", f"epoch {trial.epoch}", value)
    if (more := len(tally.running) - _SHOWN) > 0:
        table.add_row(f"  and {more} more")
    return table
