"""Every kind of program lowers for GPUs and TPUs, on a machine that has neither."""

import jax
import jax.export
import pytest
from flax import nnx

from tests.helpers import OrdersInPrograms, make_arrays, recipe_of
from tests.lanes.test_same_numbers import Normed, point
from tuner.lanes.layout import layout_of
from tuner.lanes.orders import order_shapes
from tuner.lanes.program import advance_function, advance_shapes, insert_function, insert_shapes, orders_function
from tuner.models import MLP


class Plain(nnx.Module):
    """A user's own model of plain layers, with Flax's own random keys."""

    def __init__(self, hyperparameters, spec, rngs):
        self.first = nnx.Linear(spec.input_shape[0], 8, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.output = nnx.Linear(8, spec.outputs, rngs=rngs)

    def __call__(self, x):
        return self.output(self.dropout(nnx.relu(self.first(x))))


KINDS = {
    "stacked": {"trials": 4},
    "one after the other": {"trials": 1, "together": 1},
    "some at a time": {"trials": 4, "together": 3},
}


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
@pytest.mark.parametrize("model", [MLP, Normed, Plain])
@pytest.mark.parametrize("kind", KINDS)
def test_training_lowers(platform, model, kind):
    arrays = make_arrays()
    recipe, layout = recipe_of(model, arrays, point()), layout_of(arrays, 8, **KINDS[kind])
    exported = jax.export.export(advance_function(recipe, layout), platforms=[platform])(
        *advance_shapes(recipe, layout)
    )
    assert exported.platforms == (platform,)
    assert "while" in exported.mlir_module()


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_inserting_lowers(platform):
    arrays = make_arrays()
    recipe, layout = recipe_of(MLP, arrays, point()), layout_of(arrays, 8, 4)
    exported = jax.export.export(insert_function(layout), platforms=[platform])(*insert_shapes(recipe, layout))
    assert exported.platforms == (platform,)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_drawing_orders_lowers(platform):
    layout = layout_of(make_arrays(kind=OrdersInPrograms), 8, 4)
    exported = jax.export.export(orders_function(layout), platforms=[platform])(
        *order_shapes(layout.lanes, layout.rows)
    )
    assert exported.platforms == (platform,)


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lion", "rmsprop"])
def test_every_optimizer_and_task_lowers(task, optimizer):
    arrays = make_arrays(task)
    hyperparameters = point(optimizer=optimizer, gradient_clip=1.0, momentum=0.9, l1=1e-4, l2=1e-4, schedule="cosine")
    recipe, layout = recipe_of(MLP, arrays, hyperparameters), layout_of(arrays, 8, 2)
    exported = jax.export.export(advance_function(recipe, layout), platforms=["cuda", "tpu"])
    assert exported(*advance_shapes(recipe, layout)).platforms == ("cuda", "tpu")
