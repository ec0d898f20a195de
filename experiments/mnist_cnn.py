"""MNIST with a convolutional network: ten classes, 60,000 images of 28 x 28 pixels and 10,000 test images.

make mnist
tuner run experiments/mnist_cnn.py --trials 20
tuner run experiments/mnist_cnn.py --trials 20 --set data.limit=6000    # for a small machine
tuner run experiments/mnist_cnn.py:untuned --trials 1                   # with settings as they are often given
"""

from typing import Any

from search_spaces.cnn import image_cnn
from tuner import Experiment, datasets, models

experiment = Experiment(
    name="mnist-cnn",
    data=datasets.mnist,
    model=models.CNN,
    search_space=image_cnn,
    metric="accuracy",
    folds=3,
    epochs=5,
)


def fixed(trial: Any) -> dict[str, Any]:
    """Conv - pool - conv - pool - dense, Adam with its default rate, batches of 64; nothing is searched."""
    del trial
    return {"channels": [32, 64], "optimizer": "adam", "learning_rate": 1e-3, "batch_size": 64}


untuned = Experiment(
    name="mnist-cnn-untuned",
    data=datasets.mnist,
    model=models.CNN,
    search_space=fixed,
    metric="accuracy",
    folds=3,
    epochs=5,
)
