"""What each worker gets of a cluster: of its GPUs where it has any, else of its cores."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_DIGITS = 4  # Ray counts parts of a GPU or core in ten thousandths


@dataclass(frozen=True)
class Share:
    """What one worker gets: of GPUs, or of cores. A part of one, or a whole number."""

    gpus: float = 0
    cpus: float = 0

    @property
    def options(self) -> dict[str, float]:
        """As Ray takes it."""
        return {"num_gpus": self.gpus, "num_cpus": self.cpus}

    def __str__(self) -> str:
        size, unit = (self.gpus, "GPU") if self.gpus else (self.cpus, "core")
        return f"{size:g} {unit}{'s' if size > 1 else ''}"


def share_of(machines: Iterable[Mapping[str, float]], workers: int) -> Share:
    """The largest share that lets so many workers run at once.

    Args:
        machines: what each has, by Ray's names.
        workers: how many.
    """
    known = list(machines)
    if gpus := [int(machine["GPU"]) for machine in known if machine.get("GPU", 0) >= 1]:
        return Share(gpus=_largest(gpus, workers))
    cores = [int(machine["CPU"]) for machine in known if machine.get("CPU", 0) >= 1]
    return Share(cpus=_largest(cores, workers)) if cores else Share()


def default_workers(machines: Iterable[Mapping[str, float]]) -> int:
    """How many workers there are where nobody says: one a GPU; without GPUs one a machine, which uses all its cores."""
    known = list(machines)
    gpus = sum(int(machine.get("GPU", 0)) for machine in known)
    return gpus or max(1, sum(machine.get("CPU", 0) >= 1 for machine in known))


def environment_of(share: Share) -> dict[str, str]:
    """What makes JAX keep to a share. Ray itself hides the GPUs of others."""
    if share.gpus:
        return {"XLA_PYTHON_CLIENT_MEM_FRACTION": f"{0.9 * share.gpus:.3f}"} if share.gpus < 1 else {}
    return {"NPROC": str(max(1, int(share.cpus)))}  # threads of XLA on the CPU


def _largest(units: list[int], workers: int) -> float:
    """The largest share of machines with so many units: whole units, or one of equal parts of a unit."""
    for whole in range(max(units), 0, -1):
        if sum(count // whole for count in units) >= workers:
            return whole
    parts = math.ceil(workers / sum(units))
    return math.floor(10**_DIGITS / parts) / 10**_DIGITS
