"""The store of programs, and how programs are shared between trials and studies."""

import time
from concurrent.futures import Future
from types import SimpleNamespace

import jax
import pytest
from flax import nnx

from tests.helpers import make_arrays
from tuner import Width
from tuner.hyperparameters import split
from tuner.lanes import store as store_module
from tuner.lanes.compilations import compilations
from tuner.lanes.engine import Engine
from tuner.lanes.layout import layout_of
from tuner.lanes.memory import Memory
from tuner.lanes.store import ProgramStore
from tuner.models import MLP
from tuner.training.recipe import Recipe
from tuner.training.settings import FLOATS

MIB = 1 << 20


def point(size=5, **changes):
    return {"hidden": [Width(size, 8)], "learning_rate": 0.02, "batch_size": 16, **changes}


@pytest.fixture
def quick(monkeypatch):
    """Programs that take no time: their recipe is their name, their layout the bytes of their code."""

    def make(recipe, layout):
        if isinstance(layout, Exception):
            raise layout
        return SimpleNamespace(recipe=recipe, memory=Memory(layout, 0, 0))

    monkeypatch.setattr(store_module, "Program", make)


def names(store):
    return [recipe for recipe, _ in store._programs]


def test_the_least_recently_used_goes_first(quick):
    store = ProgramStore(30 * MIB)
    for name in "abc":
        store.request(name, 10 * MIB).result()
    store.request("a", 10 * MIB).result()  # used again
    store.request("d", 10 * MIB).result()
    store.request("e", 10 * MIB).result()
    store.request("e", 10 * MIB)  # what was still being compiled counts from the next request on
    assert names(store) == ["a", "d", "e"]
    assert store.held_bytes == 30 * MIB
    assert len(store) == 3


def test_every_program_counts_with_a_least_size(quick):
    store = ProgramStore(10 * MIB)
    for name in "abcdef":
        store.request(name, 1).result()
    store.request("f", 1)
    assert len(store) == 2


def test_the_newest_is_kept_however_large(quick):
    store = ProgramStore(MIB)
    store.request("a", 100 * MIB).result()
    program = store.request("b", 200 * MIB)
    assert program.result().recipe == "b"
    assert names(store) == ["b"]


def test_the_same_program_is_made_once(quick):
    store = ProgramStore()
    assert store.request("a", 1) is store.request("a", 1)
    assert store.request("a", 1) is not store.request("a", 2)


def test_a_failure_is_told_and_not_kept(quick):
    store = ProgramStore()
    error = RuntimeError("the model raised")
    failed = store.request("a", error)
    with pytest.raises(RuntimeError, match="the model raised"):
        failed.result()
    assert store.held_bytes == 0
    again = store.request("a", error)
    assert again is not failed
    with pytest.raises(RuntimeError):
        again.result()


def test_a_cancelled_one_is_asked_for_again(quick):
    store = ProgramStore()
    waiting = Future()
    waiting.cancel()
    store._programs["a", 1] = waiting
    assert store.request("a", 1).result().recipe == "a"


# With real programs


def test_a_model_that_raises_fails_its_trial_alone_and_recovers(arrays):
    broken = [True]

    def model(hyperparameters, spec, rngs):
        if broken[0] and hyperparameters["kind"] == "bad":
            raise RuntimeError("no such kind")
        return MLP(hyperparameters, spec, rngs)

    engine = Engine(model, arrays, slots=2, seed=0)
    engine.add(0, point(kind="good"))
    engine.add(1, point(kind="bad"))
    failures = engine.seat()
    assert {trial: str(error) for trial, error in failures.items()} == {1: "no such kind"}
    assert list(engine.advance()) == [0]
    broken[0] = False
    engine.add(2, point(kind="bad"))
    assert engine.seat() == {}
    assert list(engine.advance()) == [0, 2]


def test_the_second_engine_over_a_space_compiles_nothing():
    store = ProgramStore()

    def study(seed):
        engine = Engine(MLP, make_arrays(), slots=3, seed=seed, store=store, deterministic=True)
        for trial, size in enumerate((5, 6, 3)):
            engine.add(trial, point(size, learning_rate=0.01 * (trial + 1), batch_size=[16, 8, 16][trial]))
        assert engine.seat() == {}
        engine.advance()
        engine.remove(0)
        engine.add(3, point(7))
        assert engine.seat() == {}
        return engine.advance()

    before = compilations()
    first = study(0)
    between = compilations()
    assert (between - before).count >= len(store) >= 2  # batches of 8 and of 16
    assert (between - before).seconds > 0
    second = study(1)
    assert (compilations() - between).count == 0
    assert list(first) == list(second) == [1, 2, 3]


def test_compilations_counts_small_ones():
    before = compilations()
    jax.jit(lambda x: x * 3 + time.time_ns() % 7)(1.0)  # a function that no cache knows
    assert (compilations() - before).count >= 1


def test_the_float_type_is_part_of_a_program(arrays):
    recipe = Recipe(MLP, arrays.spec, arrays.task, split(point(), floats=FLOATS).signature)
    single = layout_of(arrays, 16, 1)
    jax.config.update("jax_enable_x64", True)
    try:
        double = layout_of(make_arrays(), 16, 1)
    finally:
        jax.config.update("jax_enable_x64", False)
    assert single != double
    assert single.float_type == "float32"
    store = ProgramStore()
    assert store.request(recipe, single).result().layout == single


def test_a_model_with_plain_layers_trains(arrays):
    """Flax's own layers, their keys and counts travel in the lane's state."""

    class Plain(nnx.Module):
        def __init__(self, hyperparameters, spec, rngs):
            self.hidden = nnx.Linear(spec.input_shape[0], hyperparameters["units"], rngs=rngs)
            self.dropout = nnx.Dropout(0.2, rngs=rngs)
            self.output = nnx.Linear(hyperparameters["units"], spec.outputs, rngs=rngs)

        def __call__(self, x):
            return self.output(self.dropout(nnx.relu(self.hidden(x))))

    engine = Engine(Plain, arrays, slots=2, chunk=2, seed=0)
    for trial in range(2):
        engine.add(trial, {"units": 8, "learning_rate": 0.05, "batch_size": 16})
    assert engine.seat() == {}
    losses = [engine.advance()[1].train_loss.mean() for _ in range(8)]
    assert losses[-1] < losses[0]
