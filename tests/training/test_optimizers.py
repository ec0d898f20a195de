"""Schedules against Optax's and the formulas, and what the transformations are made of."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tuner.training.lane import _penalty
from tuner.training.optimizers import first_state, learning_rate, optimizer, starts_as_zeros, take_step
from tuner.training.settings import OPTIMIZERS, SCHEDULES

TOTAL = 40


def rates(total=TOTAL, **hyperparameters):
    hyperparameters = {"learning_rate": 0.5, **hyperparameters}
    return np.array([learning_rate(hyperparameters, jnp.int32(step), jnp.int32(total)) for step in range(total)])


def test_constant_is_the_number_itself():
    assert rates().tolist() == [0.5] * TOTAL
    peak = object()
    assert learning_rate({"learning_rate": peak}, 3, TOTAL) is peak


def test_cosine_is_optax_s(float64):
    expected = [optax.cosine_decay_schedule(0.5, TOTAL)(step) for step in range(TOTAL)]
    np.testing.assert_allclose(rates(schedule="cosine"), expected, rtol=1e-9)


def test_linear_is_optax_s(float64):
    expected = [optax.linear_schedule(0.5, 0.0, TOTAL)(step) for step in range(TOTAL)]
    np.testing.assert_allclose(rates(schedule="linear"), expected, rtol=1e-9)


def test_one_cycle_is_optax_s(float64):
    expected = [optax.cosine_onecycle_schedule(TOTAL, 0.5)(step) for step in range(TOTAL)]
    np.testing.assert_allclose(rates(schedule="one_cycle"), expected, rtol=1e-9)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear"])
def test_warm_up_rises_to_the_peak_and_never_wastes_a_step(float64, schedule):
    seen = rates(schedule=schedule, warmup=0.25)
    np.testing.assert_allclose(seen[:10], 0.5 * np.arange(1, 11) / 10, rtol=1e-9)
    assert seen[10] == 0.5
    after = rates(total=30, schedule=schedule)
    np.testing.assert_allclose(seen[10:], after, rtol=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", [None, 0.0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("total", [1, 2, 40])
def test_every_rate_is_positive_and_at_most_the_peak(schedule, warmup, total):
    seen = rates(total=total, schedule=schedule, warmup=warmup)
    assert (seen > 0).all()
    assert (seen <= 0.5).all()


def test_a_warm_up_of_less_than_a_step_is_none(float64):
    np.testing.assert_allclose(rates(schedule="cosine", warmup=0.01), rates(schedule="cosine"), rtol=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("momentum", [None, 0.9])
def test_a_state_starts_as_zeros(name, momentum):
    hyperparameters = {"optimizer": name, "learning_rate": 0.1, "momentum": momentum, "gradient_clip": 1.0}
    parameters = {"w": jnp.ones((2, 3)), "b": jnp.ones(3)}
    state = optimizer(hyperparameters, 0.1).init(parameters)
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(state))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_works_with_every_part_switched_off_or_on(name):
    parameters = {"w": jnp.ones((2, 3)), "b": jnp.zeros(3)}
    gradients = jax.tree.map(lambda p: jnp.full_like(p, 0.1), parameters)
    for options in (
        {},
        {"momentum": 0.9},
        {"weight_decay": 0.1},
        {"gradient_clip": 0.5},
        {"momentum": 0.9, "weight_decay": 0.1},
    ):
        made = optimizer({"optimizer": name, **options}, 0.1)
        updates, _ = made.update(gradients, made.init(parameters), parameters)
        assert all((np.asarray(leaf) < 0).all() for leaf in jax.tree.leaves(updates))


def test_decay_is_decoupled_and_scaled_by_the_rate():
    parameters = {"w": jnp.full((2, 2), 3.0)}
    zero = {"w": jnp.zeros((2, 2))}
    for name in OPTIMIZERS:
        made = optimizer({"optimizer": name, "weight_decay": 0.1, "gradient_clip": 1e-3}, 0.5)
        updates, _ = made.update(zero, made.init(parameters), parameters)
        np.testing.assert_allclose(updates["w"], -0.5 * 0.1 * 3.0, rtol=1e-6)


def test_clipping_bounds_the_global_norm():
    parameters = {"a": jnp.zeros(2), "b": jnp.zeros(1)}
    made = optimizer({"optimizer": "sgd", "gradient_clip": 2.0}, 1.0)
    for gradients, expected in (([3.0, 0.0, 4.0], [1.2, 0.0, 1.6]), ([0.3, 0.0, 0.4], [0.3, 0.0, 0.4])):
        tree = {"a": jnp.asarray(gradients[:2]), "b": jnp.asarray(gradients[2:])}
        updates, _ = made.update(tree, made.init(parameters), parameters)
        np.testing.assert_allclose(-np.concatenate([updates["a"], updates["b"]]), expected, rtol=1e-6)


def test_penalties_are_on_weights_alone(float64):
    w = np.array([[1.0, -2.0], [0.0, 4.0]])
    parameters = {"kernel": jnp.asarray(w), "bias": jnp.asarray([10.0, 10.0])}
    assert _penalty({}, parameters) == 0
    np.testing.assert_allclose(_penalty({"l1": 0.1}, parameters), 0.1 * 7)
    np.testing.assert_allclose(_penalty({"l2": 0.1}, parameters), 0.1 * 21)
    np.testing.assert_allclose(_penalty({"l1": 0.1, "l2": 0.2}, parameters), 0.7 + 4.2)
    slopes = jax.grad(lambda p: _penalty({"l1": 0.1, "l2": 0.2}, p))(parameters)
    np.testing.assert_allclose(slopes["kernel"], 0.1 * np.sign(w) + 0.4 * w)
    assert not slopes["bias"].any()


def steps(hyperparameters, native, count=5):
    """Parameters after some steps of ours and of Optax's own, on the slope of a bowl."""
    ours = theirs = {"w": jnp.asarray([[1.0, -2.0], [0.5, 3.0]]), "b": jnp.asarray([0.1, 0.2])}
    state, their_state = first_state(hyperparameters, ours), native.init(theirs)
    for _ in range(count):
        ours, state = take_step(hyperparameters, 0.05, ours, state, ours)
        updates, their_state = native.update(theirs, their_state, theirs)
        theirs = optax.apply_updates(theirs, updates)
    return ours, theirs


@pytest.mark.parametrize(
    ("hyperparameters", "native"),
    [
        ({"optimizer": "sgd"}, optax.sgd(0.05)),
        ({"optimizer": "sgd", "momentum": 0.9}, optax.sgd(0.05, momentum=0.9)),
        ({"optimizer": "sgd", "momentum": 0.9, "nesterov": True}, optax.sgd(0.05, momentum=0.9, nesterov=True)),
        ({"optimizer": "adam"}, optax.adam(0.05)),
        ({"optimizer": "adamw", "weight_decay": 0.1}, optax.adamw(0.05, weight_decay=0.1)),
        ({"optimizer": "rmsprop"}, optax.rmsprop(0.05)),
        ({"optimizer": "lion", "weight_decay": 0.1}, optax.lion(0.05, weight_decay=0.1)),
        ({"optimizer": optax.adabelief}, optax.adabelief(0.05)),
        ({"optimizer": optax.adagrad}, optax.adagrad(0.05)),
        ({"optimizer": optax.adam, "weight_decay": 0.1}, optax.adamw(0.05, weight_decay=0.1)),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_steps_are_optax_s(float64, hyperparameters, native):
    ours, theirs = steps(hyperparameters, native)
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-9)


def test_only_a_named_optimizer_is_known_to_start_as_zeros():
    assert starts_as_zeros({"optimizer": "adam"})
    assert not starts_as_zeros({"optimizer": optax.adagrad})
    state = first_state({"optimizer": optax.adagrad}, {"w": jnp.ones((2, 3))})
    assert any(np.any(leaf) for leaf in jax.tree.leaves(state))


def test_biases_are_no_weights_whatever_their_axes(float64):
    parameters = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones((3, 4)), "layers": {0: {"bias": jnp.ones((2, 2))}}}
    np.testing.assert_allclose(_penalty({"l2": 1.0}, parameters), 4.0)
