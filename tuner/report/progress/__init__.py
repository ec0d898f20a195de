"""Progress while a study runs, on stderr: a live view on a terminal, else a line for each trial that ends."""

import os

from rich.console import Console

from tuner.report.progress.lines import Lines
from tuner.report.progress.live import LiveView
from tuner.tracking import Sink

__all__ = ["Lines", "LiveView", "progress_of"]


def progress_of(total: int, console: Console | None = None) -> Sink:
    """The sink that shows a study of so many trials: live where somebody looks at a terminal.

    Args:
        total: trials that the study shall hold in the end.
        console: where to print; stderr by default.
    """
    console = console or Console(stderr=True, highlight=False)
    is_watched = console.is_terminal and not console.is_dumb_terminal and not os.environ.get("CI")
    return LiveView(total, console) if is_watched else Lines(total, console)
