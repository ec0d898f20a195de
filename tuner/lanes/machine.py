"""What the rounding of a training depends on beside its program."""

import os
from importlib.metadata import version
from typing import Any

import jax


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
