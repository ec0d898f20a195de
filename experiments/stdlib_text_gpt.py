"""The help texts of Python's standard library, character by character, with a small GPT: predicts the next one.

tuner run experiments/stdlib_text_gpt.py --trials 10 --set data.limit=1500
"""

from search_spaces.transformer import small_transformer
from tuner import Experiment, datasets, models

experiment = Experiment(
    name="stdlib-text-gpt",
    data=datasets.stdlib_text,
    model=models.GPT,
    search_space=small_transformer,
    metric="perplexity",
    folds=3,
    epochs=10,
)
