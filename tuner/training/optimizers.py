"""Optimizers and learning-rate schedules, made from hyperparameters that may be traced numbers."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from tuner.training.settings import setting


def learning_rate(hyperparameters: Mapping[str, Any], step: Any, total_steps: Any) -> Any:
    """The learning rate at a step of a lane's own count.

    A linear warm-up over the share ``warmup`` of all steps, then ``schedule``: constant; cosine (Loshchilov and Hutter,
    "SGDR", 2017, eq. 5, one cycle to zero); or linear to zero.

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
    factor = {"constant": jnp.ones_like(done), "cosine": 0.5 * (1 + jnp.cos(jnp.pi * done)), "linear": 1 - done}
    rising = (step + 1) / jnp.maximum(warm_steps, 1.0)
    return peak * jnp.where(step < warm_steps, rising, factor[schedule])


def optimizer(hyperparameters: Mapping[str, Any], rate: Any) -> optax.GradientTransformation:
    """The gradient transformation of one trial.

    ``gradient_clip`` bounds the global norm (Pascanu et al., 2013); ``weight_decay`` is decoupled from the gradient
    for every optimizer (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019).

    Args:
        hyperparameters: of one trial; the structure of the state depends only on their static part, and it starts as
            zeros, whatever the optimizer: a lane that has taken no step is made of nothing else.
        rate: the learning rate of this step, a scalar.
    """
    clip, decay = setting(hyperparameters, "gradient_clip"), setting(hyperparameters, "weight_decay")
    parts = [
        *([] if clip is None else [optax.clip_by_global_norm(clip)]),
        _direction(setting(hyperparameters, "optimizer"), setting(hyperparameters, "momentum")),
        *([] if decay is None else [optax.add_decayed_weights(decay)]),
        optax.scale_by_learning_rate(rate),
    ]
    return optax.chain(*parts)


def first_state(hyperparameters: Mapping[str, Any], parameters: Any) -> Any:
    """The optimizer's state of a lane that has taken no step: zeros, each parameter's as a vector."""
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


def _direction(name: str, momentum: Any) -> optax.GradientTransformation:
    if name in {"adam", "adamw"}:
        return optax.scale_by_adam()
    if name == "lion":
        return optax.scale_by_lion()
    scaled = [optax.scale_by_rms(decay=0.9)] if name == "rmsprop" else []
    heavy_ball = [] if momentum is None else [optax.trace(decay=momentum)]
    return optax.chain(optax.identity(), *scaled, *heavy_ball)
