"""What metrics need of the validation rows, and how that is added up on the device."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp

from tuner.training.metrics import Metric

Parts = Callable[[Any, Any, Any], Mapping[str, Any]]
Reduce = Callable[[Mapping[str, Any], Any], Mapping[str, Any]]


class PartFunctions(NamedTuple):
    """What is computed of each batch, each function once: what is summed, and what all rows of are kept to reduce."""

    summed: list[Parts]
    kept: dict[Parts, list[Reduce]]


def part_functions(metrics: Iterable[Metric]) -> PartFunctions:
    """What some metrics need; several share what they add up."""
    summed: dict[Parts, None] = {}
    kept: dict[Parts, list[Reduce]] = {}
    for metric in metrics:
        if metric.reduce is None:
            summed[metric.parts] = None
        elif metric.reduce not in kept.setdefault(metric.parts, []):
            kept[metric.parts].append(metric.reduce)
    return PartFunctions(list(summed), kept)


def merged(functions: Iterable[Parts], outputs: Any, targets: Any, scale: Any) -> dict[str, Any]:
    """The parts of a batch by all functions."""
    parts: dict[str, Any] = {}
    for function in functions:
        parts |= function(outputs, targets, scale)
    return parts


def sums_of(parts: Mapping[str, Any], weights: Any) -> dict[str, Any]:
    """The parts summed over the examples that count; whole numbers stay whole, so their sums are exact.

    Args:
        parts: each with the example axis first.
        weights: (rows,), 0 for what is only padding.
    """
    return {name: _sum(part, weights) for name, part in parts.items()}


def reduced(functions: PartFunctions, kept: Mapping[str, Any], weights: Any) -> dict[str, Any]:
    """What the metrics that need all rows at once make of them.

    Args:
        functions: what was kept, and what becomes of it.
        kept: each part, (batches, rows a batch, ...).
        weights: (batches, rows a batch), 0 for what is only padding.
    """
    rows = {name: part.reshape(-1, *part.shape[2:]) for name, part in kept.items()}
    counts = weights.reshape(-1) > 0
    found: dict[str, Any] = {}
    for reduces in functions.kept.values():
        for reduce in reduces:
            found |= reduce(rows, counts)
    return found


def _sum(part: Any, weights: Any) -> Any:
    counts = (weights > 0).reshape(weights.shape + (1,) * (part.ndim - 1))
    if not jnp.issubdtype(part.dtype, jnp.floating):
        return jnp.where(counts, part, 0).sum(0, dtype=jnp.int32)
    return jnp.where(counts, part, 0).sum(0)
