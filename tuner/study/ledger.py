"""Where a study's time goes: exclusive seconds of the loop's own thread."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

PHASES = (
    "startup",
    "compile_wait",
    "device_wait",
    "sampling",
    "placing",
    "ask_tell",
    "tracking_wait",
    "checkpoint_wait",
)


class Ledger:
    """Seconds by phase; what no phase claims is ``other``, and all of them sum to the wall time.

    Args:
        started: ``time.perf_counter()`` of the beginning, if that lies before now.
    """

    def __init__(self, started: float | None = None) -> None:
        self._started = time.perf_counter() if started is None else started
        self._seconds = dict.fromkeys(PHASES, 0.0)
        self._stack: list[str] = []
        self._since = time.perf_counter()
        self._seconds["startup"] += self._since - self._started

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Book the time of the block under a phase; a phase inside another takes its time from it."""
        self._book()
        self._stack.append(name)
        try:
            yield
        finally:
            self._book()
            self._stack.pop()

    def seconds(self) -> dict[str, float]:
        """Seconds by phase, ``other`` and ``wall_seconds`` so far."""
        self._book()
        wall = self._since - self._started
        return {"wall_seconds": wall, **self._seconds, "other": max(wall - sum(self._seconds.values()), 0.0)}

    def _book(self) -> None:
        now = time.perf_counter()
        if self._stack:
            self._seconds[self._stack[-1]] += now - self._since
        self._since = now
