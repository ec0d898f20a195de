"""Which machine and process this is, and whether a process of this machine is gone."""

import functools
import os
import platform
import sys
import uuid
from contextlib import suppress
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_SPACE = Path("/proc/self/ns/pid")


@functools.cache
def this_machine() -> str:
    """A name for the processes that can see each other: of the host since it was started, and of its container."""
    boot = space = ""
    with suppress(OSError):
        boot, space = _BOOT.read_text().strip(), str(_SPACE.readlink())
    return f"{platform.node()[:40]} {uuid.getnode():x} {boot} {space}".strip()


def this_process() -> str:
    """This process, told from a later one with the same number by the moment at which it began."""
    return f"{os.getpid()} {_began(os.getpid())}".strip()


def is_gone(process: str) -> bool:
    """Whether a process of this machine, named by ``this_process``, has ended. Where that cannot be known: no."""
    number, _, began = process.partition(" ")
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError):
        return False
    return sys.platform == "linux" and _began(int(number)) != began


def _began(number: int) -> str:
    """Clock ticks from the machine's start to the process's, as Linux says; else nothing.

    Nothing too for a process that has ended and only waits to be collected by its parent.
    """
    with suppress(OSError):
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()  # its name may hold anything
        return "" if fields[0] in "ZX" else fields[19]
    return ""
