"""Optimizers and learning-rate schedules, made from hyperparameters that may be traced numbers."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from tuner.training.settings import setting


def learning_rate(hyperparameters: Mapping[str, Any], step: Any, total_steps: Any) -> Any:
    """The learning rate at a step of a lane's own count.

    A linear warm-up over the share ``warmup`` of all steps, then ``schedule``: constant; cosine (Loshchilov and Hutter,
    "SGDR", 2017, eq. 5, one cycle to zero); linear to zero; or one cycle (Smith and Topin, "Super-convergence", 2018)
    with the numbers of PyTorch and Optax: from a 25th of the rate up to it over 0.3 of the steps, then down to a
    250,000th, both by half a cosine.

    Args:
        hyperparameters: of one trial.
        step: steps taken so far, a scalar.
        total_steps: steps of the whole training, a scalar.
    """
    peak = setting(hyperparameters, "learning_rate")
    schedule = setting(hyperparameters, "schedule")
    warmup = setting(hyperparameters, "warmup")
    if schedule == "constant" and warmup is None:
        return peak
    float_type = jnp.result_type(float)
    step, total = jnp.asarray(step).astype(float_type), jnp.asarray(total_steps).astype(float_type)
    warm_steps = 0.0 if warmup is None else jnp.floor(warmup * total)
    done = jnp.clip((step - warm_steps) / jnp.maximum(total - warm_steps, 1.0), 0.0, 1.0)
    rising = (step + 1) / jnp.maximum(warm_steps, 1.0)
    return peak * jnp.where(step < warm_steps, rising, _FACTORS[schedule](done))


def _half_cosine(start: float, end: float, done: Any) -> Any:
    """From ``start`` to ``end``, where ``done`` goes from 0 to 1."""
    return end + (start - end) * 0.5 * (1 + jnp.cos(jnp.pi * done))


def _one_cycle(done: Any) -> Any:
    up = _half_cosine(1 / 25, 1.0, done / _RISE)
    return jnp.where(done < _RISE, up, _half_cosine(1.0, 1 / 250_000, (done - _RISE) / (1 - _RISE)))


_RISE = 0.3  # of a cycle's steps
_FACTORS: dict[str, Callable[[Any], Any]] = {
    "constant": jnp.ones_like,
    "cosine": lambda done: _half_cosine(1.0, 0.0, done),
    "linear": lambda done: 1 - done,
    "one_cycle": _one_cycle,
}


def optimizer(hyperparameters: Mapping[str, Any], rate: Any) -> optax.GradientTransformation:
    """The gradient transformation of one trial.

    ``gradient_clip`` bounds the global norm (Pascanu et al., 2013); ``weight_decay`` is decoupled from the gradient
    for every optimizer (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019).

    Args:
        hyperparameters: of one trial; the structure of the state depends only on their static part. The state of every
            optimizer that has a name starts as zeros.
        rate: the learning rate of this step, a scalar.
    """
    clip, decay = setting(hyperparameters, "gradient_clip"), setting(hyperparameters, "weight_decay")
    made = setting(hyperparameters, "optimizer")
    clipping = [] if clip is None else [optax.clip_by_global_norm(clip)]
    if callable(made):  # its updates are scaled by the rate already
        decaying = [] if decay is None else [optax.add_decayed_weights(-rate * decay)]
        return optax.chain(*clipping, made(rate), *decaying)
    decaying = [] if decay is None else [optax.add_decayed_weights(decay)]
    return optax.chain(*clipping, _direction(made, hyperparameters), *decaying, optax.scale_by_learning_rate(rate))


def starts_as_zeros(hyperparameters: Mapping[str, Any]) -> bool:
    """Whether an optimizer's first state is known to be zeros; a user's own may start as anything."""
    return not callable(setting(hyperparameters, "optimizer"))


def first_state(hyperparameters: Mapping[str, Any], parameters: Any) -> Any:
    """The optimizer's state of a lane that has taken no step, each parameter's as a vector."""
    return optimizer(hyperparameters, 0.0).init(_raveled(parameters))


def take_step(
    hyperparameters: Mapping[str, Any], rate: Any, gradients: Any, state: Any, parameters: Any
) -> tuple[Any, Any]:
    """The parameters and the optimizer's state after a step.

    Each parameter is updated as a vector: an output layer's last axis is short, and loops over a short innermost axis
    are slower to compile and to run (by 7 and 5 % for the MLP's program on a CPU) than one loop over all entries.

    Args:
        hyperparameters: of one trial.
        rate: the learning rate of this step, a scalar.
        gradients: of the shapes of ``parameters``.
        state: of the optimizer.
        parameters: any tree of arrays.
    """
    flat = _raveled(parameters)
    updates, state = optimizer(hyperparameters, rate).update(_raveled(gradients), state, flat)
    after = optax.apply_updates(flat, updates)
    return jax.tree.map(lambda new, old: new.reshape(old.shape), after, parameters), state


def _raveled(tree: Any) -> Any:
    return jax.tree.map(jnp.ravel, tree)


def _direction(name: str, hyperparameters: Mapping[str, Any]) -> optax.GradientTransformation:
    if name in {"adam", "adamw"}:
        return optax.scale_by_adam()
    if name == "lion":
        return optax.scale_by_lion()
    momentum = setting(hyperparameters, "momentum")
    scaled = [optax.scale_by_rms(decay=0.9)] if name == "rmsprop" else []
    nesterov = setting(hyperparameters, "nesterov")
    heavy_ball = [] if momentum is None else [optax.trace(decay=momentum, nesterov=nesterov)]
    return optax.chain(optax.identity(), *scaled, *heavy_ball)
