"""Lowerings of convolution and max pooling, as lanes: milliseconds a step and seconds to compile.

    python benchmarks/convolutions.py [--case digits mnist] [--convolutions ...] [--pools ...] [--over vmap map]

Five lanes (the folds of a trial), each a `lax.fori_loop` of steps of Adam on a network of two 3 x 3 convolutions of 16
and 32 channels, each with relu and 2 x 2 max pooling, and a dense layer; `jax.vmap` or `lax.map` over the lanes. Every
convolution is measured with the first pool, every pool with the first convolution. All are compiled, then timed, in
turn, and the least counts: so a busy machine disturbs all alike. docs/decisions/convolutions.md says
what was chosen by it.
"""

import argparse
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from tuner import nn
from tuner.nn.conv import by_convolution, by_patches, convolve
from tuner.nn.windows import Pads, padded

FOLDS, ROWS, CLASSES, CHANNELS, COMPILES = 5, 500, 10, (16, 32), 3
SAME = ((1, 1), (1, 1))


@dataclass(frozen=True)
class Case:
    """Images of side x side pixels in batches, and how many steps are timed at once."""

    side: int
    batch: int
    steps: int


CASES = {"digits": Case(8, 32, 16), "mnist": Case(28, 64, 3)}


def shifted(x: Any, window: Sequence[int], strides: Sequence[int]) -> list[Any]:
    """What each place of the window sees.

    Args:
        x: shape (batch, *space, features), padded already.
        window: lengths of a window.
        strides: steps from window to window.

    Returns:
        For each place in the window, in row-major order, a slice (batch, *windows, features).
    """
    counts = [
        (length - size) // stride + 1 for length, size, stride in zip(x.shape[1:-1], window, strides, strict=True)
    ]

    def slice_at(place: Sequence[int]) -> Any:
        spans = (slice(p, p + (n - 1) * s + 1, s) for p, n, s in zip(place, counts, strides, strict=True))
        return x[(slice(None), *spans)]

    return [slice_at(place) for place in itertools.product(*map(range, window))]


# Convolutions: (batch, height, width, inputs), (3, 3, inputs, outputs) -> (batch, height, width, outputs)


def shifted_products(x: Any, kernel: Any) -> Any:
    """A product for each place in the window, added up."""
    slices = shifted(padded(x, SAME, 0.0), (3, 3), (1, 1))
    return sum(part @ kernel[index // 3, index % 3] for index, part in enumerate(slices))


def row_patches(x: Any, kernel: Any) -> Any:
    """Three places of a row side by side, and a product for each row of the window."""
    rows = jnp.concatenate(shifted(padded(x, SAME, 0.0), (1, 3), (1, 1)), -1)
    flat = kernel.reshape(3, -1, kernel.shape[-1])
    return sum(part @ flat[index] for index, part in enumerate(shifted(rows, (3, 1), (1, 1))))


def flat_products(x: Any, kernel: Any) -> Any:
    """All pixels of the padded batch in one row, so that each place in the window is one contiguous slice."""
    batch, height, width, inputs = x.shape
    room = padded(x, SAME, 0.0)
    count, line = batch * (height + 2) * (width + 2), width + 2
    flat = jnp.pad(room.reshape(count, inputs), ((0, 2 * line + 2), (0, 0)))
    total = sum(flat[i * line + j :][:count] @ kernel[i, j] for i in range(3) for j in range(3))
    return total.reshape(batch, height + 2, line, -1)[:, :height, :width]


def patches_by_place(x: Any, kernel: Any) -> Any:
    """Patches from a slice for each place in the window, instead of axis by axis."""
    patches = jnp.concatenate(shifted(padded(x, SAME, 0.0), (3, 3), (1, 1)), -1)
    return patches @ kernel.reshape(-1, kernel.shape[-1])


def channels_first(x: Any, kernel: Any) -> Any:
    """Patches with the batch innermost: (places x inputs, height x width x batch)."""
    batch, height, width, inputs = x.shape
    slices = shifted(padded(x, SAME, 0.0).transpose(3, 1, 2, 0)[None], (1, 3, 3), (1, 1, 1))
    patches = jnp.concatenate(slices, 1).reshape(9 * inputs, -1)
    y = kernel.reshape(9 * inputs, -1).T @ patches
    return y.reshape(-1, height, width, batch).transpose(3, 1, 2, 0)


def patches_both_ways(x: Any, kernel: Any) -> Any:
    """Patches, and the gradient for the input by patches of the output's gradient in place of nine additions."""
    return _both_ways(x, kernel)


@jax.custom_vjp
def _both_ways(x: Any, kernel: Any) -> Any:
    return by_patches(x, kernel, (1, 1), SAME)


def _forward(x: Any, kernel: Any) -> Any:
    return _both_ways(x, kernel), (x, kernel)


def _backward(saved: Any, gradient: Any) -> Any:
    x, kernel = saved
    (for_kernel,) = jax.vjp(lambda kernel: _both_ways_plain(x, kernel), kernel)[1](gradient)
    return _both_ways_plain(gradient, kernel[::-1, ::-1].swapaxes(2, 3)), for_kernel


_both_ways_plain = partial(by_patches, strides=(1, 1), pads=SAME)
_both_ways.defvjp(_forward, _backward)


def same(way: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """A way to convolve, with stride 1 and the image's size kept."""
    pads: Pads = SAME
    return partial(way, strides=(1, 1), pads=pads)


CONVOLUTIONS = {
    "tuner.nn": same(convolve),
    "patches": same(by_patches),
    "convolution": same(by_convolution),
    "shifted products": shifted_products,
    "patches by place": patches_by_place,
    "row patches": row_patches,
    "flat products": flat_products,
    "channels first": channels_first,
    "patches both ways": patches_both_ways,
}


# Pools: (batch, height, width, channels) -> (batch, height / 2, width / 2, channels)


def windows(x: Any) -> Any:
    """XLA's windows, as Flax has them."""
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def quarters(x: Any) -> Any:
    """The maximum of four strided slices."""
    first, second, third, fourth = shifted(x, (2, 2), (2, 2))
    return jnp.maximum(jnp.maximum(first, second), jnp.maximum(third, fourth))


def pairs(x: Any) -> Any:
    """The maximum of two rows, then of two columns."""
    batch, height, width, channels = x.shape
    rows = x[:, : height // 2 * 2].reshape(batch, height // 2, 2, width, channels)
    x = jnp.maximum(rows[:, :, 0], rows[:, :, 1])
    columns = x[:, :, : width // 2 * 2].reshape(batch, height // 2, width // 2, 2, channels)
    return jnp.maximum(columns[..., 0, :], columns[..., 1, :])


def blocks(x: Any) -> Any:
    """What tuner has: the maximum over two axes of a reshaped array."""
    return nn.max_pool(x, (2, 2), (2, 2))


POOLS = {"blocks": blocks, "windows": windows, "quarters": quarters, "pairs": pairs}


# A training


def start(case: Case, key: Any) -> dict[str, Any]:
    """The parameters of a lane."""
    first, second, last = jax.random.split(key, 3)
    places = (case.side // 4) ** 2 * CHANNELS[1]
    return {
        "first": jax.random.normal(first, (3, 3, 1, CHANNELS[0])) / 3,
        "first_bias": jnp.zeros(CHANNELS[0]),
        "second": jax.random.normal(second, (3, 3, *CHANNELS)) / 12,
        "second_bias": jnp.zeros(CHANNELS[1]),
        "last": jax.random.normal(last, (places, CLASSES)) / places**0.5,
    }


def training(case: Case, convolution: Callable[..., Any], pool: Callable[..., Any], over: str) -> Callable[..., Any]:
    """A function of (parameters, orders, images, labels) that trains all lanes."""
    optimizer = optax.adam(1e-3)

    def loss(parameters: Any, images: Any, labels: Any) -> Any:
        x = pool(jax.nn.relu(convolution(images, parameters["first"]) + parameters["first_bias"]))
        x = pool(jax.nn.relu(convolution(x, parameters["second"]) + parameters["second_bias"]))
        logits = x.reshape(x.shape[0], -1) @ parameters["last"]
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    def lane(parameters: Any, order: Any, images: Any, labels: Any) -> Any:
        def step(index: Any, carry: Any) -> Any:
            parameters, state = carry
            gradients = jax.grad(loss)(parameters, images[order[index]], labels[order[index]])
            updates, state = optimizer.update(gradients, state)
            return optax.apply_updates(parameters, updates), state

        return lax.fori_loop(0, case.steps, step, (parameters, optimizer.init(parameters)))[0]

    def lanes(parameters: Any, orders: Any, images: Any, labels: Any) -> Any:
        if over == "vmap":
            return jax.vmap(lane, (0, 0, None, None))(parameters, orders, images, labels)
        return lax.map(lambda own: lane(*own, images, labels), (parameters, orders))

    return lanes


def arguments_of(case: Case) -> tuple[Any, ...]:
    """Parameters, orders, images and labels."""
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.random((ROWS, case.side, case.side, 1)), jnp.float32)
    orders = jnp.asarray(rng.integers(0, ROWS, (FOLDS, case.steps, case.batch)))
    parameters = jax.vmap(partial(start, case))(jax.random.split(jax.random.key(0), FOLDS))
    return parameters, orders, images, jnp.asarray(rng.integers(0, CLASSES, ROWS))


def measure(case: Case, ways: list[tuple[str, str, str]], repeats: int) -> dict[tuple[str, str, str], list[float]]:
    """For each (convolution, pool, way over the lanes): milliseconds a step, seconds to trace and to compile."""
    arguments = arguments_of(case)
    found = {way: [float("inf")] * 3 for way in ways}
    programs = {}
    for way in ways * COMPILES:
        jax.clear_caches()
        function = training(case, CONVOLUTIONS[way[0]], POOLS[way[1]], way[2])
        traced, lowered = timed(lambda function=function: jax.jit(function).lower(*arguments))
        compiled, programs[way] = timed(lowered.compile)
        found[way] = [found[way][0], min(found[way][1], traced), min(found[way][2], compiled)]
    for way in ways * (repeats + 1):
        seconds, _ = timed(lambda way=way: jax.block_until_ready(programs[way](*arguments)))
        found[way][0] = min(found[way][0], seconds / case.steps * 1e3)
    return found


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that a call took, and what it returned."""
    began = time.perf_counter()
    result = call()
    return time.perf_counter() - began, result


def main() -> None:
    """Print a table for each case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--convolutions", nargs="+", choices=CONVOLUTIONS, default=list(CONVOLUTIONS))
    parser.add_argument("--pools", nargs="+", choices=POOLS, default=list(POOLS))
    parser.add_argument("--over", nargs="+", choices=["vmap", "map"], default=["vmap", "map"])
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    first, pool = chosen.convolutions[0], chosen.pools[0]
    pairs_of = [(name, pool) for name in chosen.convolutions] + [(first, name) for name in chosen.pools[1:]]
    for case in chosen.case:
        print(f"{case}\n| convolution | pool | lanes | ms a step | trace s | compile s |\n|---|---|---|---|---|---|")
        ways = [(*pair, over) for pair in pairs_of for over in chosen.over]
        for way, (step, trace, compiling) in measure(CASES[case], ways, chosen.repeats).items():
            print(f"| {' | '.join(way)} | {step:.2f} | {trace:.2f} | {compiling:.2f} |", flush=True)


if __name__ == "__main__":
    main()
