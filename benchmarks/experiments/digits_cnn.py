"""tuner's side of the benchmark digits-cnn: two elastic convolutions on 8 x 8 digits.

python benchmarks/compare.py digits-cnn
"""

from benchmarks.experiments.elastic import experiment_of
from tuner import datasets, models

experiment = experiment_of("digits-cnn", data=datasets.digits, model=models.CNN, layers="channels")
