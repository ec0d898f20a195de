"""Workers on many machines: Ray places them and starts dead ones again; the database stays the truth."""

from tuner.cluster.connection import LOCAL
from tuner.cluster.study import run_on_ray

__all__ = ["LOCAL", "run_on_ray"]
