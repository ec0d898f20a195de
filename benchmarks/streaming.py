"""Data that comes to the device in pieces against data that lies there: MNIST's CNN, the same trial and folds.

    python benchmarks/streaming.py [--rows-at-once 10000] [--folds 3] [--epochs 3]

The images lie in a file that is mapped into memory. One line each: the median seconds of an epoch, evaluation included,
and how much of the speed in memory is left; the lines take turns, one epoch each, so that both see the same machine.
They are written to benchmarks/results/streaming.json too.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the files beside this one, whatever is installed

import numpy as np

from benchmarks import commands
from benchmarks.lanes import device, population_of
from search_spaces.cnn import image_cnn
from tuner import Experiment, datasets, models
from tuner.experiment import arrays_of
from tuner.lanes.layout import layout_of
from tuner.lanes.population import Population
from tuner.training.recipe import Recipe
from tuner.training.settings import parts_of

TRIAL = {"channels": [32, 64], "hidden": [128], "optimizer": "adam", "learning_rate": 1e-3, "batch_size": 64}


def main() -> None:
    """Measures both ways and prints their lines."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows-at-once", type=int, default=10_000)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3, help="measured, after a first one")
    parser.add_argument("--results", type=Path, default=commands.HERE / "results", help="folder of the raw numbers")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = write_mnist(Path(folder))
        ways = {"in memory": rows, "in pieces": chosen.rows_at_once}
        populations = {way: reading(Path(folder), at_once, chosen.folds) for way, at_once in ways.items()}
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(1 + chosen.epochs):
            for way, population in populations.items():
                seconds[way].append(population.advance(0, [0]).seconds)
    medians = {way: statistics.median(measured[1:]) for way, measured in seconds.items()}
    share = medians["in memory"] / medians["in pieces"]
    print(f"{rows} images, {chosen.folds} folds, on {device()}")
    print(f"in memory: {medians['in memory']:.2f} s an epoch")
    print(f"in pieces of {chosen.rows_at_once}: {medians['in pieces']:.2f} s an epoch, {share:.0%} of the speed")
    written = {"device": device(), "versions": commands.versions(), "rows_at_once": chosen.rows_at_once}
    written |= {"rows": rows, "folds": chosen.folds, "seconds": seconds, "share": round(share, 3)}
    chosen.results.mkdir(parents=True, exist_ok=True)
    (chosen.results / "streaming.json").write_text(json.dumps(written, indent=1) + "\n")


def write_mnist(folder: Path) -> int:
    """MNIST's training part as two .npy files; how many rows these have."""
    data = datasets.mnist()
    np.save(folder / "images.npy", data.inputs)
    np.save(folder / "labels.npy", data.targets)
    return len(data.inputs)


def reading(folder: Path, rows_at_once: int, folds: int) -> Population:
    """A population with one trial, on the data of a folder."""
    experiment = Experiment(
        name="streaming",
        data=datasets.npy(folder / "images.npy", folder / "labels.npy"),
        model=models.CNN,
        search_space=image_cnn,
        folds=folds,
        rows_at_once=rows_at_once,
    )
    arrays, parts = arrays_of(experiment), parts_of(TRIAL)
    recipe = Recipe(experiment.model, arrays.spec, arrays.task, parts.signature)
    return population_of(recipe, arrays, parts.numbers, layout_of(arrays, 64, 1, **_together()))


def _together() -> dict[str, Any]:
    """Lanes one after the other on a CPU, as the engine trains a convolutional network there."""
    return {"together": 1} if commands.machine() == device() else {}


if __name__ == "__main__":
    main()
