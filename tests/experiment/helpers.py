from flax import nnx

from tuner import Experiment, datasets
from tuner.experiment import arrays_of, check


def flowers(search_space, model, **fields):
    options = {"name": "flowers", "data": datasets.iris, "folds": 2, "epochs": 1} | fields
    return Experiment(model=model, search_space=search_space, **options)


def checked(search_space, model, **fields):
    experiment = flowers(search_space, model, **fields)
    return check(experiment, arrays_of(experiment))


class Plain(nnx.Module):
    """Plain layers; the rate of a native dropout must be known while it is built."""

    def __init__(self, hyperparameters, spec, rngs):
        self.hidden = nnx.Linear(spec.input_shape[0], hyperparameters["units"], rngs=rngs)
        self.dropout = nnx.Dropout(hyperparameters.get("dropout", 0.5), rngs=rngs)
        self.output = nnx.Linear(hyperparameters["units"], spec.outputs, rngs=rngs)

    def __call__(self, x):
        return self.output(self.dropout(nnx.relu(self.hidden(x))))
