"""Losses: one number an example. Means over the batch, penalties and class weights are the trainer's."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float

from tuner.training.settings import setting


def classification_losses(
    logits: Float[Array, "batch outputs"], labels: Any, hyperparameters: Mapping[str, Any]
) -> Float[Array, " batch"]:
    """Cross-entropy, with ``label_smoothing`` (Szegedy et al., 2016, section 7); of a sigmoid where one output is all.

    Args:
        logits: one a class, or one for the second of two classes.
        labels: whole numbers, shape (batch,).
        hyperparameters: of one trial.
    """
    smoothing = setting(hyperparameters, "label_smoothing")
    if logits.shape[-1] == 1:
        return sigmoid_cross_entropy(logits, labels, smoothing)
    if smoothing is None:
        return softmax_cross_entropy(logits, labels)
    targets = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return optax.softmax_cross_entropy(logits, optax.smooth_labels(targets, smoothing))


def regression_losses(
    outputs: Float[Array, "batch outputs"], targets: Any, hyperparameters: Mapping[str, Any]
) -> Float[Array, " batch"]:
    """Squared error, or Huber's loss (1964) with ``huber_delta``, of standardized targets; the mean over the outputs.

    Args:
        outputs: predictions.
        targets: of the same shape.
        hyperparameters: of one trial.
    """
    if setting(hyperparameters, "loss") == "huber":
        return optax.huber_loss(outputs, targets, delta=setting(hyperparameters, "huber_delta")).mean(-1)
    return ((outputs - targets) ** 2).mean(-1)


def next_token_losses(
    logits: Float[Array, "batch time tokens"], tokens: Any, hyperparameters: Mapping[str, Any]
) -> Float[Array, " batch"]:
    """Cross-entropy, the mean over an example's tokens; negative ones stand for none.

    Args:
        logits: one a token of the vocabulary.
        tokens: whole numbers, shape (batch, time): what comes next at each place.
        hyperparameters: of one trial.
    """
    del hyperparameters
    there = tokens >= 0
    total = jnp.where(there, softmax_cross_entropy(logits, tokens), 0).sum(-1)
    return total / jnp.maximum(there.sum(-1), 1)


def softmax_cross_entropy(logits: Float[Array, "*batch classes"], labels: Any) -> Float[Array, "*batch"]:
    """Cross-entropy that selects the label's logit: its gradient is elementwise, where a gather's is a scatter."""
    shifted = logits - lax.stop_gradient(logits.max(-1, keepdims=True))
    is_label = jnp.arange(logits.shape[-1]) == labels[..., None]
    return jnp.log(jnp.exp(shifted).sum(-1)) - jnp.where(is_label, shifted, 0).sum(-1)


def sigmoid_cross_entropy(
    logits: Float[Array, "batch 1"], labels: Any, smoothing: Any = None
) -> Float[Array, " batch"]:
    """Binary cross-entropy of the logit of label 1."""
    targets = labels.astype(logits.dtype)
    if smoothing is not None:
        targets = targets * (1 - smoothing) + smoothing / 2
    return optax.sigmoid_binary_cross_entropy(logits[:, 0], targets)
