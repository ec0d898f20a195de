"""tuner's side of the benchmark mnist-cnn: two elastic convolutions on 6,000 examples of MNIST.

python benchmarks/compare.py mnist-cnn
"""

from typing import Any

from benchmarks.mnist import load_mnist
from benchmarks.tasks import TASKS
from tuner import Dataset, Experiment, Width, models

TASK = TASKS["mnist-cnn"]


def mnist() -> Dataset:
    """Images of 28 x 28 pixels and their labels."""
    images, labels = load_mnist()
    return Dataset(images, labels, "classification")


def search_space(trial: Any) -> dict[str, Any]:
    """The task's search space, with elastic widths."""
    hyperparameters = TASK.suggest(trial)
    first, second = hyperparameters.pop("widths")
    channels = [Width(first, cap=32), Width(second, cap=64)]
    return hyperparameters | {"channels": channels, "hidden": [], "schedule": "cosine"}


experiment = Experiment(
    name=TASK.name,
    data=mnist,
    model=models.CNN,
    search_space=search_space,
    metric="accuracy",
    folds=TASK.folds,
    epochs=TASK.epochs,
    test_fraction=0.2,
)
