"""What a model does with an example, from a trace of its forward pass: how often each kernel is used, how much is held.

A kernel is used once in a dense layer, and at each place of a convolution.
"""

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
from jax.extend import core

from tuner.training.recipe import Recipe, apply, batch_shape, kernels_of

_ROWS = 2  # of the batch that is looked at; a model that drops axes of length one would not be itself with one

Kernels = dict[core.Var, int]
"""Variables of a traced function that are a kernel, whole, whatever its shape: the kernel's number."""


def kernel_uses(recipe: Recipe) -> tuple[float, ...]:
    """Multiply-adds of one example's forward pass with each kernel, over the kernel's entries.

    It depends on no cap. A kernel that no product takes as it is (an embedding's table, say) counts as used once.

    Raises:
        Exception: whatever the model raises.
    """
    return _traced(_narrow(recipe)).uses


def largest_operand(recipe: Recipe) -> float:
    """Numbers of one example that its largest product takes beside a kernel: the patches of a convolution, say.

    Raises:
        Exception: whatever the model raises.
    """
    return _traced(recipe).operand


def attends(recipe: Recipe) -> bool:
    """Whether a product takes no kernel, but two things that depend on the example, as attention's do.

    Raises:
        Exception: whatever the model raises.
    """
    return _traced(_narrow(recipe)).attends


class _Forward(NamedTuple):
    """A forward pass: each kernel's uses, the largest operand in numbers an example, products without a kernel."""

    uses: tuple[float, ...]
    operand: float
    attends: bool


def _narrow(recipe: Recipe) -> Recipe:
    """The same model with small caps, for what depends on none: traced once for all."""
    caps = dict.fromkeys(recipe.signature.caps, 2)
    return replace(recipe, signature=recipe.signature.with_caps(caps)) if caps else recipe


@functools.lru_cache(maxsize=256)
def _traced(recipe: Recipe) -> _Forward:
    values = recipe.abstract.values
    examples = batch_shape(recipe.spec, _ROWS)
    traced = jax.make_jaxpr(lambda values, inputs: apply(recipe, recipe.abstract.evaluation, values, inputs)[0])(
        values, examples
    )
    leaves = jax.tree.leaves((values, examples))
    kernels = kernels_of(values.parameters)
    numbers = {id(kernel): number for number, kernel in enumerate(kernels)}
    known = {
        var: numbers[id(leaf)] for var, leaf in zip(traced.jaxpr.invars, leaves, strict=True) if id(leaf) in numbers
    }
    tally = _Tally([0.0] * len(kernels))
    _count(traced.jaxpr, known, 1.0, tally)
    uses = (total / _ROWS / math.prod(kernel.shape) for total, kernel in zip(tally.products, kernels, strict=True))
    return _Forward(tuple(use or 1.0 for use in uses), tally.operand / _ROWS, tally.attends)


@dataclass
class _Tally:
    """Multiply-adds with each kernel so far, the numbers of the largest operand, and if a product took no kernel."""

    products: list[float]
    operand: int = 0
    attends: bool = False


def _count(jaxpr: Any, kernels: Kernels, times: float, tally: _Tally) -> Kernels:
    """Add a function's products to the tally; returns the kernels with those that equations passed on."""
    kernels = dict(kernels)
    for equation in jaxpr.eqns:
        taken = [kernels.get(var) if isinstance(var, core.Var) else None for var in equation.invars]
        inner = _inner(equation)
        if inner is not None:
            known = _renamed(zip(inner.invars, taken[len(taken) - len(inner.invars) :], strict=True))
            after = _count(inner, known, times * equation.params.get("length", 1), tally)
            kernels |= _renamed((out, after.get(var)) for out, var in zip(equation.outvars, inner.outvars, strict=True))
        elif equation.primitive.name in {"dot_general", "conv_general_dilated"}:
            tally.attends |= all(number is None for number in taken)
            for var, number in zip(equation.invars, taken, strict=True):
                if number is None:
                    tally.operand = max(tally.operand, math.prod(var.aval.shape))
                else:
                    tally.products[number] += times * _products(equation)
        else:
            kernels |= _passed_on(equation, taken)
    return kernels


def _inner(equation: Any) -> Any:
    """The jaxpr that an equation runs: a function's, a loop's body, the branch of this platform, or else the last."""
    found = equation.params.get("jaxpr") or equation.params.get("call_jaxpr") or equation.params.get("fun_jaxpr")
    if "branches" in equation.params:
        branches = equation.params["branches"]
        platforms = equation.params.get("branches_platforms") or [None] * len(branches)
        here = [of for of, names in zip(branches, platforms, strict=True) if names and jax.default_backend() in names]
        found = here[0] if here else branches[-1]
    return getattr(found, "jaxpr", found)


def _products(equation: Any) -> float:
    """Multiply-adds of a product or a convolution."""
    left, right = (var.aval.shape for var in equation.invars)
    outputs = math.prod(equation.outvars[0].aval.shape)
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        return float(outputs * math.prod(left[axis] for axis in contracted))
    out_features = right[equation.params["dimension_numbers"].rhs_spec[0]]
    return float(outputs * math.prod(right) / out_features)


def _passed_on(equation: Any, taken: Iterable[int | None]) -> Kernels:
    """A kernel that was reshaped, turned, cast or masked is still that kernel."""
    pairs = zip(equation.invars, taken, strict=True)
    return _renamed(
        (out, number)
        for var, number in pairs
        for out in equation.outvars
        if number is not None and math.prod(out.aval.shape) == math.prod(var.aval.shape)
    )


def _renamed(pairs: Iterable[tuple[Any, int | None]]) -> Kernels:
    return {var: number for var, number in pairs if number is not None and isinstance(var, core.Var)}
