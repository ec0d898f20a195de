"""Which of nine speakers says two vowels: sequences of 7 to 29 steps and 12 channels, a transformer.

make data
tuner run experiments/japanese_vowels_transformer.py --trials 20

Measured on two cores (AMD EPYC), refit included: 46 s; the best trial's accuracy is 0.967 over its folds, 0.981 to
0.987 on the test sequences after three refits.
"""

from search_spaces.transformer import small_transformer
from tuner import Experiment, datasets, models

experiment = Experiment(
    name="japanese-vowels-transformer",
    data=datasets.japanese_vowels,
    model=models.TransformerEncoder,
    search_space=small_transformer,
    metric="accuracy",
    folds=3,
    epochs=30,
)
