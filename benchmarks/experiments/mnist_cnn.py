"""tuner's side of the benchmark mnist-cnn: two elastic convolutions on 6,000 examples of MNIST.

python benchmarks/compare.py mnist-cnn
"""

from benchmarks.experiments.elastic import experiment_of
from benchmarks.mnist import load_mnist
from tuner import Dataset, models


def mnist() -> Dataset:
    """Images of 28 x 28 pixels and their labels."""
    images, labels = load_mnist()
    return Dataset(images, labels, "classification")


experiment = experiment_of("mnist-cnn", data=mnist, model=models.CNN, layers="channels")
