"""The help texts of Python's standard library, character by character, with a small GPT: predicts the next one.

tuner run experiments/stdlib_text_gpt.py --trials 10 --set data.limit=1500

Measured on two cores (AMD EPYC), refit included: 120 s; the best trial's perplexity, a character, is 12.6 over its
folds, 11.2 to 11.4 on the test text after three refits.
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
