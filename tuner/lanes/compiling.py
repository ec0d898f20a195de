"""How programs are compiled: what is asked of XLA beside its defaults."""

from typing import Any

import jax

from tuner.lanes.uses import kernel_uses
from tuner.training.lane import Recipe, kernels_of

_OFTEN = 4  # multiply-adds an example and kernel entry from which a program's time is in its products


def compiled(function: Any, shapes: tuple[Any, ...], recipe: Recipe | None = None) -> Any:
    """The executable of a jitted function.

    Args:
        function: what is compiled.
        shapes: of its arguments.
        recipe: what it trains; None where it trains nothing.

    Raises:
        Exception: whatever the model raises while it is traced.
    """
    return function.lower(*shapes).compile(compiler_options=_options(recipe))


def _options(recipe: Recipe | None) -> dict[str, Any] | None:
    """XLA's options for this device and model (docs/decisions/compiling.md)."""
    backend = jax.default_backend()
    if backend == "gpu":
        return {"xla_gpu_enable_triton_gemm": False, "xla_gpu_autotune_level": 0}
    if backend == "cpu" and recipe is not None and _uses_kernels_often(recipe):
        return {
            "xla_cpu_use_fusion_emitters": False,
            "xla_backend_optimization_level": 1,
            "xla_cpu_parallel_codegen_split_count": 1,
        }
    return None


def _uses_kernels_often(recipe: Recipe) -> bool:
    """Whether an example meets a kernel's entries many times, as in a convolution."""
    sizes = [kernel.size for kernel in kernels_of(recipe.abstract.values.parameters)]
    products = sum(use * size for use, size in zip(kernel_uses(recipe), sizes, strict=True))
    return products >= _OFTEN * sum(sizes) > 0
