"""What the rounding of a training depends on beside its program."""

import os
import time
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp


def this_machine() -> dict[str, Any]:
    """Libraries, device and cores, as plain data."""
    return {
        "jax": version("jax"),
        "jaxlib": version("jaxlib"),
        "platform": jax.default_backend(),
        "device": jax.local_devices()[0].device_kind,
        "devices": jax.local_device_count(),
        "cores": os.cpu_count(),
    }


def seconds_to_compile() -> float:
    """Compile and run a small program: how long that took.

    Raises:
        RuntimeError: its result is wrong.
    """
    began = time.perf_counter()
    found = float(jax.jit(lambda x: (x @ x).sum())(jnp.ones((16, 16))))
    if found != 16.0**3:
        raise RuntimeError(f"a program gave {found} where 4096 is right")
    return time.perf_counter() - began
