"""How much work an epoch is at given caps, without building the model at each of them."""

import math
from collections.abc import Callable, Mapping, Sequence

from tuner.lanes.uses import kernel_uses
from tuner.training.recipe import Recipe, kernels_of

Shapes = list[tuple[int, ...]]


def multiply_adds(recipe_at: Callable[[Mapping[str, int]], Recipe], declared: Mapping[str, int]) -> "MultiplyAdds":
    """Look at a model's kernels at its declared caps, and with each cap halved on its own.

    Args:
        recipe_at: path to cap -> the recipe with these caps.
        declared: path to cap, for each ``Width``.

    Raises:
        Exception: whatever the model raises.
    """
    recipe = recipe_at(declared)
    full = _shapes(recipe)
    halves = {path: cap // 2 for path, cap in declared.items() if cap > 1}
    halved = {path: _shapes(recipe_at({**declared, path: half})) for path, half in halves.items()}
    return MultiplyAdds(declared, full, kernel_uses(recipe), halves, halved)


class MultiplyAdds:
    """Multiply-adds of one example as a function of a model's caps: kernels grow in proportion to the widths they hold.

    Args:
        declared: path to cap.
        full: the kernels' shapes there.
        uses: how often an example meets each kernel.
        halves: path to another cap.
        halved: the kernels' shapes with that path alone at its other cap.
    """

    def __init__(
        self,
        declared: Mapping[str, int],
        full: Shapes,
        uses: Sequence[float],
        halves: Mapping[str, int],
        halved: Mapping[str, Shapes],
    ) -> None:
        self._uses = uses
        self._declared, self._full = declared, full
        self._slopes = {
            path: [
                tuple((whole - half) / (declared[path] - halves[path]) for whole, half in zip(*axes, strict=True))
                for axes in zip(full, halved[path], strict=True)
            ]
            for path in halves
        }

    def at(self, caps: Mapping[str, int]) -> float:
        """Multiply-adds of one example with all kernels at these caps."""
        return float(sum(uses * math.prod(self._shape(index, caps)) for index, uses in enumerate(self._uses)))

    def _shape(self, index: int, caps: Mapping[str, int]) -> list[float]:
        shape: list[float] = list(self._full[index])
        for path, slopes in self._slopes.items():
            less = self._declared[path] - caps[path]
            shape = [axis - slope * less for axis, slope in zip(shape, slopes[index], strict=True)]
        return shape


def _shapes(recipe: Recipe) -> Shapes:
    return [kernel.shape for kernel in kernels_of(recipe.abstract.values.parameters)]
