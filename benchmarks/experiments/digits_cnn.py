"""tuner's side of the benchmark digits-cnn: two elastic convolutions on 8 x 8 digits.

python benchmarks/compare.py digits-cnn
"""

from typing import Any

from benchmarks.tasks import TASKS
from tuner import Experiment, Width, datasets, models

TASK = TASKS["digits-cnn"]


def search_space(trial: Any) -> dict[str, Any]:
    """The task's search space, with elastic widths."""
    hyperparameters = TASK.suggest(trial)
    first, second = hyperparameters.pop("widths")
    channels = [Width(first, cap=32), Width(second, cap=64)]
    return hyperparameters | {"channels": channels, "hidden": [], "schedule": "cosine"}


experiment = Experiment(
    name=TASK.name,
    data=datasets.digits,
    model=models.CNN,
    search_space=search_space,
    metric="accuracy",
    folds=TASK.folds,
    epochs=TASK.epochs,
    test_fraction=0.2,
)
