"""What the families for images share: the shape of an image, and how pooling halves it."""

from tuner.data import Spec
from tuner.errors import InputError


def image_shape(spec: Spec) -> tuple[int, int, int]:
    """Height, width and channels of an image.

    Raises:
        InputError: examples are no images.
    """
    match spec.input_shape:
        case (height, width):
            return height, width, 1
        case (height, width, channels):
            return height, width, channels
    fix = "Give inputs [rows, height, width] or [rows, height, width, channels], or take models.MLP."
    raise InputError("this model needs images", f"examples of shape {spec.input_shape}", fix)


def halved(height: int, width: int, times: int) -> list[tuple[int, int]]:
    """Height and width at first and after each halving, which ends where a side is one pixel."""
    sides = [(height, width)]
    for _ in range(times):
        height, width = sides[-1]
        sides.append((height // 2, width // 2) if min(height, width) >= 2 else (height, width))
    return sides
