"""Lanes side by side against one lane at a time, on the same device and without any compiling.

    python benchmarks/lanes.py [--task digits-mlp] [--widths 64 64] [--batch-size 32] [--trials 1 4 20] [--epochs 5]

Each line is a program for so many trials with all their folds: the seconds of an epoch of all its lanes, the median of
the epochs after a first one, and how many times as long the same lanes take in a program of one lane, called once for
each. What the host does for an epoch (drawing the order of the rows, fetching the results) is part of both. The lines
are written to benchmarks/results/lanes-TASK.json too.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the files beside this one, whatever is installed

import jax

from benchmarks import commands
from benchmarks.tasks import TASKS
from tuner.experiment import arrays_of, load_experiment
from tuner.hyperparameters import Width
from tuner.lanes.arrays import Arrays
from tuner.lanes.draws import draw
from tuner.lanes.layout import Layout, layout_of
from tuner.lanes.population import Population
from tuner.lanes.program import Program
from tuner.training.recipe import Recipe
from tuner.training.settings import parts_of


def main() -> None:
    """Measures each number of trials and prints its line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--task", choices=TASKS, default="digits-mlp")
    parser.add_argument("--widths", type=int, nargs=2, default=[64, 64])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--trials", type=int, nargs="+", default=[1, 4, 20])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--together", type=int, help="lanes in one vmap; all by default")
    parser.add_argument("--results", type=Path, default=commands.HERE / "results", help="folder of the raw numbers")
    chosen = parser.parse_args()
    task = TASKS[chosen.task]
    experiment, _ = load_experiment(str(commands.experiment_file(task.name)))
    arrays, hyperparameters = arrays_of(experiment), hyperparameters_of(chosen)
    parts = parts_of(hyperparameters)
    recipe = Recipe(experiment.model, arrays.spec, arrays.task, parts.signature)
    single = replace(arrays, folds=arrays.folds[:1])
    one, _ = measure(recipe, single, parts.numbers, layout_of(single, chosen.batch_size, 1), chosen.epochs)
    names = ("widths", "batch_size", "epochs", "together")
    heading = {"task": task.name, **{name: getattr(chosen, name) for name in names}, "device": device()}
    print("{task}, widths {widths}, batches of {batch_size}, on {device}".format(**heading))
    print(f"one lane: {one * 1e3:.2f} ms an epoch")
    print(f"{'trials':>6}{'lanes':>7}{'ms an epoch':>13}{'ratio':>7}{'s to compile':>14}")
    rows = []
    for trials in chosen.trials:
        layout = layout_of(arrays, chosen.batch_size, trials, together=chosen.together)
        seconds, compiling = measure(recipe, arrays, parts.numbers, layout, chosen.epochs)
        lanes = trials * len(arrays.folds)
        print(f"{trials:>6}{lanes:>7}{seconds * 1e3:>13.2f}{one * lanes / seconds:>7.1f}{compiling:>14.1f}", flush=True)
        rounded = {"seconds": round(seconds, 5), "compile_seconds": round(compiling, 1)}
        rows.append({"trials": trials, "lanes": lanes, **rounded})
    written = heading | {"versions": commands.versions(), "one_lane_seconds": round(one, 5), "rows": rows}
    chosen.results.mkdir(parents=True, exist_ok=True)
    (chosen.results / f"lanes-{task.name}.json").write_text(json.dumps(written, indent=1) + "\n")


def hyperparameters_of(chosen: argparse.Namespace) -> dict[str, Any]:
    """A trial whose widths fill their caps."""
    layers = "channels" if TASKS[chosen.task].convolutional else "hidden"
    floats = {"learning_rate": 1e-3, "weight_decay": 1e-4, "dropout": 0.2, "schedule": "cosine"}
    return {layers: [Width(size, size) for size in chosen.widths], "batch_size": chosen.batch_size, **floats}


def measure(
    recipe: Recipe, arrays: Arrays, numbers: Mapping[str, float], layout: Layout, epochs: int
) -> tuple[float, float]:
    """Seconds of an epoch of a full chunk, and seconds to compile its program.

    Args:
        recipe: what a lane is.
        arrays: the data and its folds.
        numbers: of every trial in the chunk.
        layout: the program's.
        epochs: that the median is of; one more comes before them.
    """
    population = population_of(recipe, arrays, numbers, layout)
    trials = range(layout.trials)
    seconds = [population.advance(0, trials).seconds for _ in range(1 + epochs)]
    return statistics.median(seconds[1:]), population.program.seconds


def population_of(recipe: Recipe, arrays: Arrays, numbers: Mapping[str, float], layout: Layout) -> Population:
    """A population of one full chunk, all of whose trials have the same numbers."""
    population = Population(Program(recipe, layout), arrays, arrays.folds)
    for trial in range(layout.trials):
        population.insert(trial, draw(recipe, numbers, 0, trial, len(arrays.folds)))
    return population


def device() -> str:
    """The device that trains."""
    found = jax.local_devices()[0]
    return found.device_kind if found.platform != "cpu" else commands.machine()


if __name__ == "__main__":
    main()
