"""What a trace of a model's forward pass tells of its work."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from tuner import Width, nn
from tuner.data import Spec
from tuner.hyperparameters import split
from tuner.lanes.uses import attends, kernel_uses, largest_operand
from tuner.lanes.work import multiply_adds
from tuner.models import CNN, MLP
from tuner.training.recipe import Recipe
from tuner.training.tasks import task_of

IMAGES = Spec((8, 6, 2), 3, "classification")


def recipe_of(model, spec=IMAGES, **hyperparameters):
    return Recipe(model, spec, task_of(spec.task), split(hyperparameters).signature)


class Recurrent(nnx.Module):
    """Rows of an image in turn, by Flax's own layers: an embedding, a loop, a product of two activations."""

    def __init__(self, hyperparameters, spec, rngs):
        self.table = nnx.Param(jnp.ones((5, 4)))
        self.convolution = nnx.Conv(2, 4, (3, 3), strides=2, rngs=rngs)
        self.cell = nnx.Linear(4, 4, rngs=rngs)
        self.output = nnx.Linear(4, spec.outputs, rngs=rngs)

    def __call__(self, x):
        x = self.convolution(x)  # 4 x 3 places
        x = x + self.table[jnp.argmax(x, -1)]
        rows = jnp.swapaxes(x.mean(2), 0, 1)

        def step(carry, row):
            return jnp.tanh(carry @ jnp.where(True, self.cell.kernel[...].T.T, 0) + row), None

        last, _ = lax.scan(step, rows[0], rows)
        attended = (last @ last.T) @ last
        return self.output(attended.squeeze())


def test_dense_layers_meet_an_example_once():
    assert kernel_uses(recipe_of(MLP, hidden=[Width(3, 16), 7], dropout=0.1)) == (1.0, 1.0, 1.0)
    assert largest_operand(recipe_of(MLP, hidden=[Width(3, 16), 7])) == 8 * 6 * 2
    assert largest_operand(recipe_of(MLP, hidden=[Width(3, 100), 7])) == 100


def test_convolutions_meet_it_at_each_place():
    recipe = recipe_of(CNN, channels=[Width(3, 8), 4], hidden=[5], dropout=0.1)
    assert kernel_uses(recipe) == (48.0, 12.0, 1.0, 1.0)
    assert largest_operand(recipe) == max(48 * 9 * 2, 12 * 9 * 8)  # patches, since this is a CPU


def test_layers_of_others_are_looked_through():
    recipe = recipe_of(Recurrent)
    paths = [jax.tree_util.keystr(path) for path, leaf in jax.tree.leaves_with_path(recipe.abstract.values.parameters)]
    kernels = [path for path in paths if "bias" not in path]
    uses = dict(zip(kernels, kernel_uses(recipe), strict=True))
    found = {
        name: use for name in ("table", "convolution", "cell", "output") for path, use in uses.items() if name in path
    }
    assert found == {"table": 1.0, "convolution": 12.0, "cell": 4.0, "output": 1.0}
    assert attends(recipe)
    assert not attends(recipe_of(CNN, channels=[Width(3, 8), 4], hidden=[5], dropout=0.1))


@pytest.mark.parametrize("caps", [(8, 4), (5, 4), (8, 3), (2, 2)])
def test_multiply_adds_at_other_caps(caps):
    def at(caps):
        return recipe_of(CNN, channels=[Width(1, caps["channels.0"]), Width(1, caps["channels.1"])])

    found = multiply_adds(at, {"channels.0": 8, "channels.1": 4})
    one, two = caps
    by_hand = 48 * 9 * 2 * one + 12 * 9 * one * two + 2 * 1 * two * 3  # two convolutions, 2 x 1 places to 3 outputs
    np.testing.assert_allclose(found.at({"channels.0": one, "channels.1": two}), by_hand)


def test_elastic_and_native_convolutions_count_alike():
    class Native(nnx.Module):
        def __init__(self, hyperparameters, spec, rngs):
            make = nn.Conv if hyperparameters["elastic"] else nnx.Conv
            self.convolution = make(2, 4, (3, 3), rngs=rngs)
            self.output = nnx.Linear(4, spec.outputs, rngs=rngs)

        def __call__(self, x):
            return self.output(self.convolution(x).mean((1, 2)))

    assert kernel_uses(recipe_of(Native, elastic=True)) == kernel_uses(recipe_of(Native, elastic=False)) == (48.0, 1.0)
