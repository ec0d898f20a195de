"""One lane, purely: how it starts, trains an epoch and is evaluated. Nothing here knows of several lanes."""

from tuner.training.metrics import Metric
from tuner.training.tasks import Task

__all__ = ["Metric", "Task"]
