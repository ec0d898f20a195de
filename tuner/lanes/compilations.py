"""Counting what XLA's back end compiles, small executables too, as ``jax.monitoring`` reports it."""

import threading
from dataclasses import dataclass

import jax

_BACKEND_COMPILE = "/jax/core/compile/backend_compile_duration"
_CACHE_HIT = "/jax/compilation_cache/cache_hits"


@dataclass(frozen=True)
class Compilations:
    """Back-end compiles, their seconds, and hits of the persistent cache, in this process so far."""

    count: int
    seconds: float
    cache_hits: int

    def __sub__(self, earlier: "Compilations") -> "Compilations":
        return Compilations(
            self.count - earlier.count, self.seconds - earlier.seconds, self.cache_hits - earlier.cache_hits
        )


class _Counter:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = Compilations(0, 0.0, 0)
        jax.monitoring.register_event_duration_secs_listener(self._on_duration)
        jax.monitoring.register_event_listener(self._on_event)

    def _on_duration(self, event: str, duration_secs: float, **_: object) -> None:
        if event == _BACKEND_COMPILE:
            with self._lock:
                now = self._now
                self._now = Compilations(now.count + 1, now.seconds + duration_secs, now.cache_hits)

    def _on_event(self, event: str, **_: object) -> None:
        if event == _CACHE_HIT:
            with self._lock:
                now = self._now
                self._now = Compilations(now.count, now.seconds, now.cache_hits + 1)

    def read(self) -> Compilations:
        with self._lock:
            return self._now


_counter = _Counter()  # JAX's listeners cannot be taken off again, so there is one for the process


def compilations() -> Compilations:
    """What was compiled in this process so far."""
    return _counter.read()
