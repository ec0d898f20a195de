"""What is asked of XLA beside its defaults."""

import jax
import pytest

from tests.helpers import make_arrays, recipe_of
from tests.lanes.test_same_numbers import Normed, point
from tuner import Width
from tuner.data import Spec
from tuner.hyperparameters import split
from tuner.lanes import compiling
from tuner.lanes.compiling import compiled
from tuner.models import CNN, MLP, RNN, TransformerEncoder
from tuner.training.recipe import Recipe
from tuner.training.settings import FLOATS
from tuner.training.tasks import task_of

CONVOLUTIONS = Recipe(
    CNN,
    Spec((9, 6), 3, "classification"),
    task_of("classification"),
    split({"channels": [Width(3, 8), Width(4, 8)], "batch_size": 8}, floats=FLOATS).signature,
)


def options(recipe, monkeypatch, backend="cpu"):
    """What a recipe's program is compiled with on a platform."""
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    return compiling._options(recipe)


@pytest.mark.parametrize("model", [MLP, Normed])
def test_dense_networks_are_compiled_as_xla_does(monkeypatch, model):
    assert options(recipe_of(model, make_arrays(), point()), monkeypatch) is None
    assert options(None, monkeypatch) is None


def test_convolutions_compile_quickly(monkeypatch):
    assert options(CONVOLUTIONS, monkeypatch)["xla_cpu_use_fusion_emitters"] is False
    assert options(CONVOLUTIONS, monkeypatch, "tpu") is None


SEQUENCES = Spec((9, 6), 3, "classification")


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_recurrent_networks_are_compiled_as_convolutions_are(monkeypatch, cell):
    hyperparameters = {"cell": cell, "hidden": [Width(3, 8)], "batch_size": 8}
    signature = split(hyperparameters, floats=FLOATS).signature
    recipe = Recipe(RNN, SEQUENCES, task_of("classification"), signature)
    assert options(recipe, monkeypatch) == options(CONVOLUTIONS, monkeypatch)


def test_transformers_are_compiled_as_xla_does(monkeypatch):
    signature = split({"features": Width(3, 8), "heads": Width(2, 2), "batch_size": 8}, floats=FLOATS).signature
    recipe = Recipe(TransformerEncoder, SEQUENCES, task_of("classification"), signature)
    assert options(recipe, monkeypatch) is None


def test_a_gpu_tries_no_kernels(monkeypatch):
    for recipe in (None, recipe_of(MLP, make_arrays(), point())):
        chosen = options(recipe, monkeypatch, "gpu")
        assert chosen == {"xla_gpu_enable_triton_gemm": False, "xla_gpu_autotune_level": 0}


def test_xla_takes_the_options():
    function, shapes = jax.jit(lambda x: x @ x + 1), (jax.ShapeDtypeStruct((4, 4), "float32"),)
    assert compiling._options(CONVOLUTIONS)
    plain, quick = compiled(function, shapes), compiled(function, shapes, CONVOLUTIONS)
    assert (plain(jax.numpy.ones((4, 4))) == quick(jax.numpy.ones((4, 4)))).all()


def test_options_that_xla_does_not_know_are_left_out(monkeypatch, caplog):
    monkeypatch.setattr(compiling, "_options", lambda _: {"xla_cpu_no_such_option": True})
    function, shapes = jax.jit(lambda x: x + 2), (jax.ShapeDtypeStruct((3,), "float32"),)
    assert compiled(function, shapes)(jax.numpy.zeros(3)).tolist() == [2, 2, 2]
    assert "no_such_option" in caplog.text
