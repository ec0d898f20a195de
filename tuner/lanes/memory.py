"""What programs need of a device's memory, and what it has."""

import os
from dataclasses import dataclass
from typing import Any

import jax

_SHARE = 0.9  # of the memory that is reckoned with: the allocator's fragments and other buffers need some


class OutOfMemoryError(RuntimeError):
    """A program needs more memory than its device has, at its smallest."""


@dataclass(frozen=True)
class Memory:
    """Bytes of a program on each device: its code, a chunk's state that stays, and what a call needs on top of that."""

    code: int
    state: int
    call: int


def memory_of(executable: Any) -> Memory:
    """The memory of a compiled program whose first argument is donated, by XLA's own account."""
    stats = executable.memory_analysis()
    if stats is None:
        return Memory(0, 0, 0)
    state = int(stats.alias_size_in_bytes)
    around = stats.argument_size_in_bytes + stats.output_size_in_bytes - 2 * state
    return Memory(int(stats.generated_code_size_in_bytes), state, int(around + stats.temp_size_in_bytes))


def device_bytes() -> int:
    """Bytes that programs may use of one device; of the machine where the device is its CPU."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if limit := stats.get("bytes_limit"):
        return int(limit * _SHARE)
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * _SHARE)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of JAX says that the device has no memory left."""
    return isinstance(error, MemoryError) or (
        isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
    )
