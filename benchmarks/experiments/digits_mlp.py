"""tuner's side of the benchmark digits-mlp: two elastic dense layers on 8 x 8 digits.

python benchmarks/compare.py digits-mlp
"""

from benchmarks.experiments.elastic import experiment_of
from tuner import datasets, models

experiment = experiment_of("digits-mlp", data=datasets.digits, model=models.MLP, layers="hidden")
