"""The recurrent classifier."""

from itertools import pairwise
from typing import Any

from flax import nnx
from jaxtyping import Array

from tuner import nn
from tuner.data import Spec
from tuner.models.parts import at, dropouts, initializer
from tuner.models.sequences import channels_of, steps_there


class RNN(nnx.Module):
    """Recurrent layers over a sequence, and a dense layer on the last step's hidden units.

    Sequences may differ in length; tokens are embedded first.

    Hyperparameters: ``cell`` ("rnn", "gru" or "lstm", the default), ``hidden`` (a list of ints or ``Width``s, default
    one layer of 64), ``embedding`` (of tokens, an int or a ``Width``, default 16), ``dropout`` (after each layer,
    default none), ``initializer`` (of the inputs' kernels, default ``lecun_normal``).

    Raises:
        InputError: examples are no sequences, or a name is none of those that there are.
    """

    def __init__(self, hyperparameters: Any, spec: Spec, rngs: nnx.Rngs) -> None:
        self.spec = spec
        inputs = channels_of(spec) if spec.tokens is None else hyperparameters.get("embedding", 16)
        self.embed = None if spec.tokens is None else nn.Embed(spec.tokens, inputs, rngs=rngs)
        widths = [inputs, *hyperparameters.get("hidden", [64])]
        cell, init = hyperparameters.get("cell", "lstm"), initializer(hyperparameters)
        self.layers = nnx.List(
            [nn.Recurrent(i, o, cell=cell, kernel_init=init, rngs=rngs) for i, o in pairwise(widths)]
        )
        self.dropouts = dropouts(hyperparameters, len(self.layers), rngs)
        self.output = nn.Linear(widths[-1], spec.outputs, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """Logits (batch, outputs) of tokens (batch, time) or numbers (batch, time, ..)."""
        x, there = steps_there(x, self.spec)
        x = x if self.embed is None else self.embed(x)
        for index, layer in enumerate(self.layers[:-1]):
            x = at(self.dropouts, index, layer(x, there)[0])
        _, last = self.layers[-1](x, there)
        return self.output(at(self.dropouts, -1, last))
