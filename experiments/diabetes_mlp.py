"""Diabetes, a regression: how far the disease went in a year (25 to 346), from 10 measurements of 442 patients.

tuner run experiments/diabetes_mlp.py --trials 40

Measured on two cores (AMD EPYC), refit included: 15 s; the best trial's root mean squared error is 55.2 over its folds,
57.5 to 59.2 on the test rows after five refits.
"""

from search_spaces.mlp import small_table
from tuner import Experiment, datasets, models

experiment = Experiment(
    name="diabetes-mlp",
    data=datasets.diabetes,
    model=models.MLP,
    search_space=small_table,
    metric="rmse",
    folds=5,
    epochs=40,
    test_fraction=0.2,
)
