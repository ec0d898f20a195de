"""Every model family: its lanes as the engine trains them, against one lane at a time, without any compiling.

    python benchmarks/families.py [--experiments digits_mlp,digits_resnet] [--rows 1200] [--folds 5] [--epochs 5]

A line for each experiment, with one trial of its search space: the milliseconds of an epoch of all folds in a program
of one lane that is called once for each; in one program with all lanes stacked; in one program with one lane after the
other; and as the engine trains it, which chooses one of the two and has a trial for each core (or --trials of them)
side by side. The ways take turns, one epoch each, so that all see the same machine; medians. The ratio is that of the
first to the last. The lines are written to benchmarks/results/families.json too.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the files beside this one, whatever is installed

import optuna

from benchmarks import commands
from benchmarks.lanes import device, population_of
from tuner import Width
from tuner.experiment import Experiment, arrays_of, load_experiment, override
from tuner.lanes.arrays import Arrays
from tuner.lanes.engine import Engine
from tuner.lanes.flights import THREADS
from tuner.lanes.layout import layout_of
from tuner.lanes.population import Population
from tuner.training.recipe import Recipe
from tuner.training.settings import parts_of, setting

EXPERIMENTS = (
    "digits_mlp",
    "diamonds_mlp",
    "mnist_cnn",
    "digits_resnet",
    "mnist_rows_rnn",
    "japanese_vowels_gru",
    "surnames_lstm",
    "japanese_vowels_transformer",
    "stdlib_text_gpt",
)

COLUMNS = {"alone": "one at a time", "stacked": "stacked", "turns": "in turn", "engine": "engine"}


def main() -> None:
    """Measures each experiment and prints its line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--experiments", type=lambda text: text.split(","), default=list(EXPERIMENTS))
    parser.add_argument("--rows", type=int, default=1200, help="of the data at most")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5, help="measured, after a first one")
    parser.add_argument("--trials", type=int, default=THREADS, help="of the engine, side by side")
    parser.add_argument("--results", type=Path, default=commands.HERE / "results", help="folder of the raw numbers")
    chosen = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(f"{chosen.rows} rows at most, {chosen.folds} folds, on {device()}; milliseconds of an epoch of all folds")
    titles = "".join(f"{title:>14}" for title in COLUMNS.values())
    print(f"{'experiment':<30}{titles}  {'chosen':<9}{'ratio':>6}")
    rows = []
    for name in chosen.experiments:
        row = {"experiment": name} | measured(name, chosen)
        rows.append(row)
        each = "".join(f"{row[way] * 1e3:>14.1f}" for way in COLUMNS)
        print(f"{name:<30}{each}  {row['chosen']:<9}{row['ratio']:>6.2f}", flush=True)
    written = {"device": device(), "rows_at_most": chosen.rows, "folds": chosen.folds, "trials": chosen.trials}
    chosen.results.mkdir(parents=True, exist_ok=True)
    written |= {"versions": commands.versions(), "rows": rows}
    (chosen.results / "families.json").write_text(json.dumps(written, indent=1) + "\n")


def measured(name: str, chosen: argparse.Namespace) -> dict[str, Any]:
    """Seconds of an epoch of a trial's folds each way, and the way that the engine takes."""
    experiment = sliced(name, chosen)
    arrays, hyperparameters = arrays_of(experiment), hyperparameters_of(experiment)
    one = replace(arrays, folds=arrays.folds[:1])
    alone = trial_of(experiment, one, hyperparameters, None)
    stacked = trial_of(experiment, arrays, hyperparameters, None)
    turns = trial_of(experiment, arrays, hyperparameters, 1)
    engine = engine_of(experiment, arrays, hyperparameters, chosen.trials)
    seconds = medians_of(
        {
            "alone": lambda: len(arrays.folds) * alone.advance(0, [0]).seconds,
            "stacked": lambda: stacked.advance(0, [0]).seconds,
            "turns": lambda: turns.advance(0, [0]).seconds,
            "engine": lambda: seconds_of_epoch(engine) / chosen.trials,
        },
        chosen.epochs,
    )
    placement = engine.placement_of(0)
    engine.close()
    way = "stacked" if placement is not None and placement["lanes_together"] > 1 else "turns"
    return {**seconds, "chosen": way, "ratio": seconds["alone"] / seconds["engine"]}


def medians_of(ways: dict[str, Callable[[], float]], epochs: int) -> dict[str, float]:
    """The median seconds of each way; the ways take turns, and the first turn does not count."""
    seconds = [{way: advance() for way, advance in ways.items()} for _ in range(1 + epochs)]
    return {way: statistics.median(turn[way] for turn in seconds[1:]) for way in ways}


def sliced(name: str, chosen: argparse.Namespace) -> Experiment:
    """An experiment on as many rows as there are, up to a limit."""
    experiment, _ = load_experiment(str(commands.ROOT / "experiments" / f"{name}.py"))
    experiment = override(experiment, [f"folds={chosen.folds}"])
    rows = len(experiment.data().inputs) if callable(experiment.data) else len(experiment.data.inputs)
    return override(experiment, [f"data.limit={chosen.rows}"]) if rows > chosen.rows else experiment


def hyperparameters_of(experiment: Experiment) -> dict[str, Any]:
    """The first trial that a random sampler draws, with widths that fill their caps: one lane alone has no mask."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return {name: _filled(value) for name, value in experiment.search_space(study.ask()).items()}


def _filled(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_filled(each) for each in value]
    return Width(value.size, value.size) if isinstance(value, Width) else value


def trial_of(
    experiment: Experiment, arrays: Arrays, hyperparameters: dict[str, Any], together: int | None
) -> Population:
    """One trial in a program of its own sizes."""
    parts, batch_size = parts_of(hyperparameters), setting(hyperparameters, "batch_size")
    recipe = Recipe(experiment.model, arrays.spec, arrays.task, parts.signature)
    return population_of(recipe, arrays, parts.numbers, layout_of(arrays, batch_size, 1, together=together))


def engine_of(experiment: Experiment, arrays: Arrays, hyperparameters: dict[str, Any], trials: int) -> Engine:
    """An engine that trains the same trial several times side by side, and decides nothing by measurement."""
    engine = Engine(experiment.model, arrays, slots=trials, seed=0, deterministic=True)
    for trial in range(trials):
        engine.add(trial, hyperparameters)
    failed = engine.seat()
    if failed:
        raise next(iter(failed.values()))
    return engine


def seconds_of_epoch(engine: Engine) -> float:
    """Seconds in which all trials of an engine train one epoch."""
    begin = time.perf_counter()
    engine.advance()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
