"""Breast cancer, a binary classifier: one sigmoid output, binary cross-entropy; 569 rows of 30 columns.

tuner run experiments/breast_cancer_mlp.py --trials 40
"""

from search_spaces.mlp import small_table
from tuner import Experiment, datasets, models

experiment = Experiment(
    name="breast-cancer-mlp",
    data=datasets.breast_cancer,
    model=models.MLP,
    search_space=small_table,
    metric="accuracy",
    folds=5,
    epochs=20,
    test_fraction=0.2,
)
