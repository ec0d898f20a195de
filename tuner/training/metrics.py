"""Metrics: what each adds up over the validation rows, on the device, and how it follows from that.

Every metric is scikit-learn's of the same name; precision, recall and F1 are the macro averages. Where a class neither
occurs nor is predicted it does not count, and what would be 0 / 0 is 0, as in scikit-learn.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from tuner.training.losses import sigmoid_cross_entropy, softmax_cross_entropy

Sums = Mapping[str, Any]
Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Metric:
    """A metric of the validation rows.

    Attributes:
        direction: of an objective.
        parts: (outputs, targets, scale) -> arrays by name with the example axis first, of a batch. Outputs and targets
            are as the model is trained, in a regression standardized; times ``scale``, shape (targets,), a difference
            is in the data's own units.
        of: the sums of the parts over all rows, each with a leading axis of folds, and ``rows`` (how many these are)
            -> the metric, shape (folds,).
        reduce: where a metric is no sum over rows: (the parts of all rows, whether each row counts) -> what ``of`` gets
            instead. It runs on the device.
    """

    direction: Direction
    parts: Callable[[Any, Any, Any], Mapping[str, Any]]
    of: Callable[[Sums], Any]
    reduce: Callable[[Mapping[str, Any], Any], Mapping[str, Any]] | None = None


def confusion(outputs: Any, labels: Any, scale: Any) -> dict[str, Any]:
    """One entry of the confusion matrix an example: (batch, classes, classes), true class first."""
    del scale
    classes = jnp.arange(max(outputs.shape[-1], 2))
    predicted = (outputs[:, 0] > 0) if outputs.shape[-1] == 1 else outputs.argmax(-1)
    true = labels[:, None] == classes
    return {"confusion": true[:, :, None] & (predicted[:, None] == classes)[:, None, :]}


def _log_loss(outputs: Any, labels: Any, scale: Any) -> dict[str, Any]:
    del scale
    losses = sigmoid_cross_entropy if outputs.shape[-1] == 1 else softmax_cross_entropy
    return {"log_loss": losses(outputs, labels)}


def _scores(outputs: Any, labels: Any, scale: Any) -> dict[str, Any]:
    """What ranks the examples: a score for each class, or for the second of two."""
    del scale
    return {"scores": outputs if outputs.shape[-1] == 1 else jax.nn.softmax(outputs, -1), "labels": labels}


def _areas(rows: Mapping[str, Any], counts: Any) -> dict[str, Any]:
    """The area under each class's ROC curve, NaN where the class has all rows or none."""
    classes = jnp.arange(rows["scores"].shape[-1])
    positive = rows["labels"][:, None] == (classes if len(classes) > 1 else 1)
    return {"areas": jax.vmap(area_under_roc, (1, 1, None))(rows["scores"], positive, counts)}


def area_under_roc(scores: Float[Array, " rows"], positive: Any, counts: Any) -> Any:
    """The share of pairs (positive, negative) that the scores order rightly, ties by half (Hanley and McNeil, 1982).

    Args:
        scores: one a row.
        positive: whether a row is positive.
        counts: whether a row counts.
    """
    scores, positive, negative = lax.sort(
        (scores, (positive & counts).astype(jnp.int32), (~positive & counts).astype(jnp.int32)), num_keys=1
    )
    below = jnp.cumsum(negative)
    new = jnp.append(True, scores[1:] != scores[:-1])
    before = lax.cummax(jnp.where(new, below - negative, 0))  # negatives of lower scores
    last = jnp.append(new[1:], True)
    within = lax.cummin(jnp.where(last, below, below[-1]), reverse=True)  # negatives up to the same score
    float_type = scores.dtype
    rightly = (positive * (before.astype(float_type) + within) / 2).sum()
    return rightly / (positive.sum().astype(float_type) * below[-1])


def _mean_area(sums: Sums) -> Any:
    areas = sums["areas"]
    known = ~np.isnan(areas)
    with np.errstate(invalid="ignore"):
        return np.where(known, areas, 0).sum(-1) / known.sum(-1)


def _ratio(part: Any, whole: Any) -> Any:
    """0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros(np.shape(part)), where=whole > 0)


def _by_class(kind: str, confusion: Any) -> Any:
    """Precision, recall or F1 of each class, shape (folds, classes)."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    predicted, true = confusion.sum(-2), confusion.sum(-1)
    return _ratio(hits, {"precision": predicted, "recall": true, "f1": (predicted + true) / 2}[kind])


def _macro(kind: str) -> Metric:
    def of(sums: Sums) -> Any:
        counted = (sums["confusion"].sum(-2) + sums["confusion"].sum(-1)) > 0
        return (_by_class(kind, sums["confusion"]) * counted).sum(-1) / counted.sum(-1)

    return Metric("maximize", confusion, of)


@cache
def of_class(kind: str, index: int) -> Metric:
    """Precision, recall or F1 of one class."""
    return Metric("maximize", confusion, lambda sums: _by_class(kind, sums["confusion"])[..., index])


BY_CLASS = ("precision", "recall", "f1")

CLASSIFICATION = {
    "accuracy": Metric(
        "maximize", confusion, lambda sums: np.trace(sums["confusion"], axis1=-2, axis2=-1) / sums["rows"]
    ),
    **{kind: _macro(kind) for kind in BY_CLASS},
    "log_loss": Metric("minimize", _log_loss, lambda sums: sums["log_loss"] / sums["rows"]),
    "roc_auc": Metric("maximize", _scores, _mean_area, _areas),
}


def _errors(outputs: Any, targets: Any, scale: Any) -> dict[str, Any]:
    error = (outputs - targets) * scale
    shifted = targets * scale  # from the training mean, so that the squares below do not cancel
    return {"absolute": jnp.abs(error), "squared": error**2, "target": shifted, "target_squared": shifted**2}


def _mean(name: str) -> Callable[[Sums], Any]:
    return lambda sums: (sums[name] / sums["rows"][..., None]).mean(-1)


def _r2(sums: Sums) -> Any:
    total = sums["target_squared"] - sums["target"] ** 2 / sums["rows"][..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        return (1 - sums["squared"] / total).mean(-1)


REGRESSION = {
    "mae": Metric("minimize", _errors, _mean("absolute")),
    "mse": Metric("minimize", _errors, _mean("squared")),
    "rmse": Metric("minimize", _errors, lambda sums: np.sqrt(_mean("squared")(sums))),
    "r2": Metric("maximize", _errors, _r2),
}


def _tokens(logits: Any, tokens: Any, scale: Any) -> dict[str, Any]:
    del scale
    there = tokens >= 0
    losses = jnp.where(there, softmax_cross_entropy(logits, tokens), 0)
    return {"token_loss": losses.sum(-1), "tokens": there.sum(-1), "hits": (logits.argmax(-1) == tokens).sum(-1)}


NEXT_TOKEN = {
    "perplexity": Metric("minimize", _tokens, lambda sums: np.exp(sums["token_loss"] / sums["tokens"])),
    "accuracy": Metric("maximize", _tokens, lambda sums: sums["hits"] / sums["tokens"]),
}
