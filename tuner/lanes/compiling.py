"""How programs are compiled: what is asked of XLA beside its defaults."""

import logging
from typing import Any

import jax

from tuner.lanes.uses import attends, kernel_uses
from tuner.training.recipe import Recipe

_OFTEN = 4  # times that an example meets a kernel, from which on a program's time is in its products

log = logging.getLogger("tuner")


def compiled(function: Any, shapes: tuple[Any, ...], recipe: Recipe | None = None) -> Any:
    """The executable of a jitted function.

    Args:
        function: what is compiled.
        shapes: of its arguments.
        recipe: what it trains; None where it trains nothing.

    Raises:
        Exception: whatever the model raises while it is traced.
    """
    lowered, options = function.lower(*shapes), _options(recipe)
    try:
        return lowered.compile(compiler_options=options)
    except jax.errors.JaxRuntimeError as error:
        if options is None or "No such compile option" not in str(error):
            raise
        log.warning("this version of JAX compiles more slowly than it could: %s", error)
        return lowered.compile()


def _options(recipe: Recipe | None) -> dict[str, Any] | None:
    """XLA's options for this device and model (docs/decisions/compiling.md)."""
    backend = jax.default_backend()
    if backend == "gpu":
        return {"xla_gpu_enable_triton_gemm": False, "xla_gpu_autotune_level": 0}
    if backend == "cpu" and recipe is not None and _is_in_products(recipe):
        return {
            "xla_cpu_use_fusion_emitters": False,
            "xla_backend_optimization_level": 1,
            "xla_cpu_parallel_codegen_split_count": 1,
        }
    return None


def _is_in_products(recipe: Recipe) -> bool:
    """Whether a program's time is in its products, as a convolution's, and not in the loops between them.

    An example meets one of the kernels many times then, and there is no attention. It depends on no cap.
    """
    return max(kernel_uses(recipe), default=0) >= _OFTEN and not attends(recipe)
