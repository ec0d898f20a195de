"""Ctrl-C: the first asks the loop to stop between two steps, the second stops at once."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Whether Ctrl-C was pressed."""

    def __init__(self) -> None:
        self.requested = False

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.requested

    def handle(self, _signal: int, _frame: FrameType | None) -> None:
        """Take a SIGINT."""
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        print("stopping after this step; Ctrl-C again stops at once", file=sys.stderr)  # noqa: T201


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Take SIGINT for the block, in the main thread; elsewhere Python allows no handler, and nothing changes."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = signal.signal(signal.SIGINT, interrupt.handle)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)
