"""How tuner is given a benchmark's task: its search space with the widths elastic, its folds and its budget."""

from typing import Any

from benchmarks.tasks import TASKS
from tuner import Experiment, Width


def experiment_of(task_name: str, *, data: Any, model: Any, layers: str) -> Experiment:
    """The experiment of a task; ``layers`` is the model's name for the widths, whose caps are the largest sizes."""
    task = TASKS[task_name]
    caps = [most for _, _, most in task.widths]

    def search_space(trial: Any) -> dict[str, Any]:
        hyperparameters = task.suggest(trial)
        sizes = hyperparameters.pop("widths")
        widths = [Width(size, cap) for size, cap in zip(sizes, caps, strict=True)]
        return hyperparameters | {layers: widths, "schedule": "cosine"}

    return Experiment(
        name=task.name,
        data=data,
        model=model,
        search_space=search_space,
        metric="accuracy",
        folds=task.folds,
        epochs=task.epochs,
        test_fraction=0.2,
    )
