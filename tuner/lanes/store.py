"""The programs of this process, by recipe and layout. The store outlives studies and is bounded in memory."""

import os
import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor

from tuner.lanes.layout import Layout
from tuner.lanes.program import Program
from tuner.training.recipe import Recipe

_PROGRAM_BYTES = 4 << 20  # what a compiled program holds on the CPU, whose back end does not say: see docs/decisions
_DEFAULT_BYTES = 2 << 30

Key = tuple[Recipe, Layout]


class ProgramStore:
    """Compiled programs, the least recently used dropped once they hold more than ``limit_bytes`` together.

    Programs are compiled in threads, as many as there are cores: XLA lets go of the interpreter while it compiles.
    A program that is in use is never lost, since its population holds it too.
    """

    def __init__(self, limit_bytes: int = _DEFAULT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._programs: OrderedDict[Key, Future[Program]] = OrderedDict()
        self._lock = threading.Lock()
        self._compilers = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="tuner-compile")

    def __len__(self) -> int:
        return len(self._programs)

    @property
    def held_bytes(self) -> int:
        """What the compiled programs hold."""
        return sum(_bytes_of(future) for future in self._programs.values())

    def request(self, recipe: Recipe, layout: Layout) -> Future[Program]:
        """The program of this recipe and layout, at once or when it is compiled.

        The future raises whatever the model raises while it is traced; a failure is not kept.
        """
        key = (recipe, layout)
        with self._lock:
            future = self._programs.get(key)
            if future is None or (future.done() and (future.cancelled() or future.exception())):
                future = self._compilers.submit(Program, recipe, layout)
                self._programs[key] = future
            self._programs.move_to_end(key)
            self._drop_old()
            return future

    def _drop_old(self) -> None:
        while len(self._programs) > 1 and self.held_bytes > self.limit_bytes:
            self._programs.popitem(last=False)


def _bytes_of(future: Future[Program]) -> int:
    if not future.done() or future.cancelled() or future.exception():
        return 0
    return max(future.result().memory.code, _PROGRAM_BYTES)


PROGRAMS = ProgramStore()
