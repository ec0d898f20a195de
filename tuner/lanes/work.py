"""How much work an epoch is at given caps, without building the model at each of them."""

import math
from collections.abc import Callable, Mapping

import jax

from tuner.training.lane import Recipe

Shapes = list[tuple[int, ...]]


def kernel_entries(recipe_at: Callable[[Mapping[str, int]], Recipe], declared: Mapping[str, int]) -> "KernelEntries":
    """Look at a model's kernels at its declared caps, and with each cap halved on its own.

    Args:
        recipe_at: path to cap -> the recipe with these caps.
        declared: path to cap, for each ``Width``.

    Raises:
        Exception: whatever the model raises.
    """
    full = _kernels(recipe_at(declared))
    halves = {path: cap // 2 for path, cap in declared.items() if cap > 1}
    halved = {path: _kernels(recipe_at({**declared, path: half})) for path, half in halves.items()}
    return KernelEntries(declared, full, halves, halved)


class KernelEntries:
    """Entries of a model's kernels as a function of its caps: every axis grows in proportion to the widths it holds.

    Args:
        declared: path to cap.
        full: the kernels' shapes there.
        halves: path to another cap.
        halved: the kernels' shapes with that path alone at its other cap.
    """

    def __init__(
        self, declared: Mapping[str, int], full: Shapes, halves: Mapping[str, int], halved: Mapping[str, Shapes]
    ) -> None:
        self._declared, self._full = declared, full
        self._slopes = {
            path: [
                tuple((whole - half) / (declared[path] - halves[path]) for whole, half in zip(*axes, strict=True))
                for axes in zip(full, halved[path], strict=True)
            ]
            for path in halves
        }

    def at(self, caps: Mapping[str, int]) -> float:
        """Entries of all kernels at these caps: the multiply-adds of one example, where each kernel is used once."""
        return float(sum(math.prod(self._shape(index, caps)) for index in range(len(self._full))))

    def _shape(self, index: int, caps: Mapping[str, int]) -> list[float]:
        shape: list[float] = list(self._full[index])
        for path, slopes in self._slopes.items():
            less = self._declared[path] - caps[path]
            shape = [axis - slope * less for axis, slope in zip(shape, slopes[index], strict=True)]
        return shape


def _kernels(recipe: Recipe) -> Shapes:

    return [leaf.shape for leaf in jax.tree.leaves(recipe.abstract.values.parameters) if leaf.ndim >= 2]
