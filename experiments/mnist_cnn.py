"""MNIST with a convolutional network: ten classes, 60,000 images of 28 x 28 pixels and 10,000 test images.

make mnist
tuner run experiments/mnist_cnn.py --trials 20
tuner run experiments/mnist_cnn.py --trials 20 --set data.limit=6000    # for a small machine
"""

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
