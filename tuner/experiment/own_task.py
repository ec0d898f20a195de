"""Looking at a user's own task without training: the shapes that its losses and metrics give."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from tuner.errors import InputError
from tuner.hyperparameters import Signature
from tuner.lanes.arrays import Arrays
from tuner.training.evaluation import part_functions
from tuner.training.settings import parts_of
from tuner.training.tasks import LOSS

_ROWS = 2
_KNOWN = ("loss", "rows")  # what the trainer adds up itself


def check_task(
    arrays: Arrays, draws: Iterable[Mapping[str, Any]], reading: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> None:
    """Check a user's losses and metrics for every kind of trial among the draws.

    Args:
        arrays: the data and the task.
        draws: hyperparameters.
        reading: wraps hyperparameters so that what is read of them is seen.

    Raises:
        InputError: a loss or a metric raises, or has not one entry an example.
    """
    outputs = jax.ShapeDtypeStruct((_ROWS, *arrays.spec.output_shape), jnp.result_type(float))
    targets, scale = _abstract(arrays.prepared.targets), jax.ShapeDtypeStruct(arrays.target_shape, outputs.dtype)
    kinds = [parts_of(draw) for draw in draws]
    for signature, numbers in {kind.signature: kind.numbers for kind in kinds}.items():
        floats = {path: jnp.asarray(number, outputs.dtype) for path, number in numbers.items()}

        def losses(outputs: Any, targets: Any, floats: Any, signature: Signature = signature) -> dict[str, Any]:
            return {"losses": arrays.task.losses(outputs, targets, reading(signature.fill(floats)))}

        _check("the task's losses", losses, (outputs, targets, floats))
    functions = part_functions(metric for metric in arrays.task.metrics.values() if metric is not LOSS)
    names: set[str] = set(_KNOWN)
    for function in (*functions.summed, *functions.kept):
        parts = _check(f"the parts of {_metrics_of(function, arrays)}", function, (outputs, targets, scale))
        for name in sorted(names & parts.keys()):
            raise InputError("two metrics add up parts of one name", name, "Give each function's parts own names.")
        names |= parts.keys()


def _abstract(targets: Any) -> jax.ShapeDtypeStruct:
    kind = jnp.result_type(float) if targets.dtype.kind == "f" else targets.dtype
    return jax.ShapeDtypeStruct((_ROWS, *targets.shape[1:]), kind)


def _check(what: str, function: Callable[..., Mapping[str, Any]], arguments: tuple[Any, ...]) -> Mapping[str, Any]:
    try:
        found = jax.eval_shape(function, *arguments)
    except Exception as error:
        raise InputError(f"{what} raise", f"{type(error).__name__}: {error}", "Mend the task.") from error
    expected = (_ROWS,) if "losses" in found else None
    for name, part in found.items():
        if part.shape[:1] != (_ROWS,) or (expected and part.shape != expected):
            shown = f"{name}: shape {part.shape} for a batch of {_ROWS}"
            raise InputError(f"{what} are not one an example", shown, "Keep the example axis, and for losses only it.")
    return found


def _metrics_of(function: Any, arrays: Arrays) -> str:
    return ", ".join(name for name, metric in arrays.task.metrics.items() if metric.parts is function)
