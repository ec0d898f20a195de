"""Which of three growers a wine is from: 178 wines, 13 measurements of each.

tuner run experiments/first.py --trials 10
"""

from model import Model
from search_spaces.first import search_space

from tuner import Experiment, datasets

experiment = Experiment(
    name="first",
    data=datasets.csv("../data/wines.csv", target="grower"),
    model=Model,
    search_space=search_space,
    metric="accuracy",
    folds=5,
    epochs=20,
    test_fraction=0.2,
)
