"""tuner's side of the benchmark digits-mlp: two elastic dense layers on 8 x 8 digits.

python benchmarks/compare.py digits-mlp
"""

from typing import Any

from benchmarks.tasks import TASKS
from tuner import Experiment, Width, datasets, models

TASK = TASKS["digits-mlp"]


def search_space(trial: Any) -> dict[str, Any]:
    """The task's search space, with elastic widths."""
    hyperparameters = TASK.suggest(trial)
    hidden = [Width(width, cap=256) for width in hyperparameters.pop("widths")]
    return hyperparameters | {"hidden": hidden, "schedule": "cosine"}


experiment = Experiment(
    name=TASK.name,
    data=datasets.digits,
    model=models.MLP,
    search_space=search_space,
    metric="accuracy",
    folds=TASK.folds,
    epochs=TASK.epochs,
    test_fraction=0.2,
)
