"""What a task is to the trainer: the loss of a batch, the sums that its metrics are made of, and the metrics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float

from tuner.data import Spec
from tuner.errors import InputError, nearest

Sums = Mapping[str, Any]
Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Metric:
    """A metric: its direction, and how it follows from the sums over the validation rows."""

    direction: Direction
    of: Callable[[Sums], Any]


@dataclass(frozen=True)
class Task:
    """A task: ``losses`` (outputs, targets, label smoothing) -> one loss an example; ``parts`` are what metrics add up.

    ``parts`` takes (outputs, targets, target scale): outputs and targets are in the units of training, and every
    part it returns has the example axis first.
    """

    losses: Callable[[Any, Any, Any], Any]
    parts: Callable[[Any, Any, Any], dict[str, Any]]
    metrics: Mapping[str, Metric]


def _softmax_losses(logits: Float[Array, "batch classes"], labels: Any, smoothing: Any) -> Float[Array, " batch"]:
    if smoothing is None:
        return _softmax_cross_entropy(logits, labels)
    targets = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return optax.softmax_cross_entropy(logits, optax.smooth_labels(targets, smoothing))


def _softmax_cross_entropy(logits: Float[Array, "batch classes"], labels: Any) -> Float[Array, " batch"]:
    """Cross-entropy that selects the label's logit: its gradient is elementwise, where a gather's is a scatter."""
    shifted = logits - lax.stop_gradient(logits.max(-1, keepdims=True))
    is_label = jnp.arange(logits.shape[-1]) == labels[:, None]
    return jnp.log(jnp.exp(shifted).sum(-1)) - jnp.where(is_label, shifted, 0).sum(-1)


def _sigmoid_losses(logits: Float[Array, "batch 1"], labels: Any, smoothing: Any) -> Float[Array, " batch"]:
    targets = labels.astype(logits.dtype)
    if smoothing is not None:
        targets = targets * (1 - smoothing) + smoothing / 2
    return optax.sigmoid_binary_cross_entropy(logits[:, 0], targets)


def _squared_losses(outputs: Float[Array, "batch outputs"], targets: Any, smoothing: Any) -> Float[Array, " batch"]:
    del smoothing
    return ((outputs - targets) ** 2).mean(-1)


def _class_parts(logits: Any, labels: Any, scale: Any) -> dict[str, Any]:
    del scale
    return {"correct": (logits.argmax(-1) == labels).astype(logits.dtype)}


def _binary_parts(logits: Any, labels: Any, scale: Any) -> dict[str, Any]:
    del scale
    return {"correct": ((logits[:, 0] > 0) == (labels > 0)).astype(logits.dtype)}


def _regression_parts(outputs: Any, targets: Any, scale: Any) -> dict[str, Any]:
    error = (outputs - targets) * scale
    shifted = targets * scale  # from the training mean, so that the squares below do not cancel
    return {"absolute": jnp.abs(error), "squared": error**2, "target": shifted, "target_squared": shifted**2}


def _r2(sums: Sums) -> Any:
    total = sums["target_squared"] - sums["target"] ** 2 / sums["rows"][..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        return (1 - sums["squared"] / total).mean(-1)


_LOSS = {"loss": Metric("minimize", lambda sums: sums["loss"] / sums["rows"])}
_CLASS_METRICS = _LOSS | {
    "accuracy": Metric("maximize", lambda sums: sums["correct"] / sums["rows"]),
    "log_loss": Metric("minimize", lambda sums: sums["loss"] / sums["rows"]),
}
_REGRESSION_METRICS = _LOSS | {
    "mae": Metric("minimize", lambda sums: (sums["absolute"] / sums["rows"][..., None]).mean(-1)),
    "mse": Metric("minimize", lambda sums: (sums["squared"] / sums["rows"][..., None]).mean(-1)),
    "rmse": Metric("minimize", lambda sums: np.sqrt((sums["squared"] / sums["rows"][..., None]).mean(-1))),
    "r2": Metric("maximize", _r2),
}

MULTICLASS = Task(_softmax_losses, _class_parts, _CLASS_METRICS)
BINARY = Task(_sigmoid_losses, _binary_parts, _CLASS_METRICS)
REGRESSION = Task(_squared_losses, _regression_parts, _REGRESSION_METRICS)
METRICS = {"classification": _CLASS_METRICS, "regression": _REGRESSION_METRICS}


def task_of(spec: Spec) -> Task:
    """The task that a data set's spec asks for: one output in a classification is a sigmoid's."""
    if spec.task == "regression":
        return REGRESSION
    return BINARY if spec.outputs == 1 else MULTICLASS


def metric_of(name: str, task: str) -> Metric:
    """The metric of this name for a kind of task.

    Raises:
        InputError: it does not exist or does not fit the task.
    """
    fitting = METRICS[task]
    if name in fitting:
        return fitting[name]
    elsewhere = any(name in metrics for metrics in METRICS.values())
    what = f"the metric does not fit a {task}" if elsewhere else "there is no such metric"
    raise InputError(what, name, nearest(name, fitting))
