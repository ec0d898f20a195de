"""Handwritten digits with a small residual network: ten classes, 1797 images of 8 x 8 pixels.

tuner run experiments/digits_resnet.py --trials 20
"""

from search_spaces.resnet import small_resnet
from tuner import Experiment, datasets, models

experiment = Experiment(
    name="digits-resnet",
    data=datasets.digits,
    model=models.ResNet,
    search_space=small_resnet,
    metric="accuracy",
    folds=3,
    epochs=15,
)
