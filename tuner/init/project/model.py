"""The network. Layers of tuner.nn are Flax NNX modules: trials of all widths and dropout rates share a program."""

from flax import nnx

from tuner import nn


class Model(nnx.Module):
    """A hidden layer, dropout, and the layer of the outputs."""

    def __init__(self, hyperparameters, spec, rngs):
        units = hyperparameters["units"]
        self.hidden = nn.Linear(spec.input_shape[0], units, rngs=rngs)
        self.dropout = nn.Dropout(hyperparameters["dropout"], rngs=rngs)
        self.output = nn.Linear(units, spec.outputs, rngs=rngs)

    def __call__(self, x):
        return self.output(self.dropout(nnx.relu(self.hidden(x))))
