"""Ctrl-C and SIGTERM: the first asks the loop to stop between two steps, a second Ctrl-C stops at once."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

GRACE = 9.0  # seconds after SIGTERM until the process ends whatever it does: who sent it kills after ten or more
TERMINATED = 128 + signal.SIGTERM


class Interrupt:
    """Whether a signal asked to stop.

    Attributes:
        requested: whether one did.
        terminated: whether that was SIGTERM, after which nothing may take long.
    """

    def __init__(self) -> None:
        self.requested = self.terminated = False
        self._end = threading.Timer(GRACE, os._exit, [TERMINATED])
        self._end.daemon = True

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.requested

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Take a signal."""
        if number == signal.SIGTERM:
            if not self.terminated:
                self.requested = self.terminated = True
                self._end.start()
                _say("terminated: keeping what runs")
            return
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        _say("stopping after this step; Ctrl-C again stops at once")

    def over(self) -> None:
        """What had to be done is done."""
        self._end.cancel()


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Take the signals for the block, in the main thread; elsewhere Python allows no handler, and nothing changes."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = {number: signal.signal(number, interrupt.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupt
    finally:
        interrupt.over()
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(words: str) -> None:
    with suppress(OSError, RuntimeError):  # nobody may be there to read it, or somebody may just be writing
        print(words, file=sys.stderr)  # noqa: T201
