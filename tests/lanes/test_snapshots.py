"""A trial on the host and back: it goes on as if nothing had happened."""

from dataclasses import replace

import numpy as np
import pytest
from flax import nnx

from tests.helpers import make_arrays, parameters_of
from tests.lanes.test_same_numbers import Normed, point
from tuner import Width
from tuner.lanes.engine import Engine
from tuner.lanes.snapshots import DoesNotFit
from tuner.models import MLP

EPOCHS = 6


class Plain(nnx.Module):
    """Flax's own layers, whose dropout holds a random key of JAX's kind."""

    def __init__(self, hyperparameters, spec, rngs):
        self.first = nnx.Linear(spec.input_shape[0], 8, rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.dropout = nnx.Dropout(0.25, rngs=rngs)
        self.output = nnx.Linear(8, spec.outputs, rngs=rngs)

    def __call__(self, x):
        return self.output(self.dropout(nnx.relu(self.norm(self.first(x)))))


def engine_of(model, **options):
    return Engine(model, make_arrays(epochs=EPOCHS), **{"slots": 4, "seed": 3, "deterministic": True, **options})


def trained(engine, epochs):
    return [engine.advance() for _ in range(epochs)]


def equal(one, other):
    return all(
        one[name].epoch == other[name].epoch
        and one[name].train_loss.tobytes() == other[name].train_loss.tobytes()
        and all(one[name].metrics[m].tobytes() == other[name].metrics[m].tobytes() for m in one[name].metrics)
        for name in one
    )


@pytest.mark.parametrize("chunk", [1, 3])
@pytest.mark.parametrize(
    ("model", "changes"),
    [
        (MLP, {}),
        (MLP, {"optimizer": "sgd", "momentum": 0.9, "schedule": "cosine"}),
        (Normed, {"optimizer": "rmsprop"}),
        (Plain, {}),
    ],
)
def test_a_trial_goes_on_as_if_nothing_had_happened(model, changes, chunk):
    whole = engine_of(model, chunk=chunk)
    for trial in (4, 7):
        whole.add(trial, point(**changes))
    assert not whole.seat()
    trained(whole, 2)
    kept = {trial: whole.snapshot(trial) for trial in (4, 7)}
    expected = trained(whole, EPOCHS - 2)
    other = engine_of(model, chunk=chunk)
    other.add(1, point(**changes))  # a neighbour that begins where they go on
    for trial in (7, 4):
        other.add(trial, point(**changes), kept[trial])
    assert not other.seat()
    for before, after in zip(expected, trained(other, EPOCHS - 2), strict=True):
        assert equal(before, {trial: after[trial] for trial in (4, 7)})
    for one, two in zip(parameters_of(whole, 7), parameters_of(other, 7), strict=True):
        assert one.tobytes() == two.tobytes()


def test_a_trial_without_lanes_gets_the_home_that_it_had():
    first = engine_of(MLP, slots=1)
    for trial, size in ((0, 8), (1, 5)):
        first.add(trial, point(size, 16))
    assert not first.seat()
    kept = first.snapshot(1)
    assert not kept.lanes
    other = engine_of(MLP, slots=1)
    other.add(1, point(5, 16), replace(kept, caps={"hidden.0": 16}))
    assert not other.seat()
    assert other.placement_of(1)["caps"] == {"hidden.0": 16}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"caps": {"hidden.0": 4}}, "for the sizes"),
        ({"caps": {"other": 8}}, "caps of other"),
        ({"lanes": {"x": np.zeros(1)}}, "other arrays"),
    ],
)
def test_a_snapshot_of_something_else_is_refused_before_anything_is_taken_on(change, message):
    engine = engine_of(MLP)
    engine.add(0, point())
    assert not engine.seat()
    snapshot = replace(engine.snapshot(0), **change)
    other = engine_of(MLP)
    with pytest.raises(DoesNotFit, match=message):
        other.add(0, point(), snapshot)
    assert not other.seat()
    assert not other.seated


def test_lanes_of_another_width_are_refused():
    engine = engine_of(MLP)
    engine.add(0, point(hidden=[Width(5, 8), 3]))
    assert not engine.seat()
    with pytest.raises(DoesNotFit, match="is float32"):
        engine_of(MLP).add(0, point(hidden=[Width(5, 8), 4]), engine.snapshot(0))


def test_a_scheduler_goes_on_where_it_was():
    sizes = [3, 9, 14, 5, 30, 31, 2, 17, 12, 25, 8, 6]
    whole, first, second = (engine_of(MLP, slots=len(sizes)) for _ in range(3))

    def placed(engine, trials):
        for trial in trials:
            engine.add(trial, point(sizes[trial], 32))
            assert not engine.seat()
            engine.advance()
        return [engine.placement_of(trial)["caps"] for trial in trials]

    expected = placed(whole, range(12))
    assert placed(first, range(6)) == expected[:6]
    second.remember(first.scheduler, lambda trial: point(sizes[trial], 32))
    assert placed(second, range(6, 12)) == expected[6:]
    assert second.scheduler["families"][0]["trial"] == 0
