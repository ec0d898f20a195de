"""Every model family: its lanes as one program trains them, against one lane at a time, without any compiling.

    python benchmarks/families.py [--experiments digits_mlp,digits_resnet] [--rows 1200] [--folds 5] [--epochs 3]

A line for each experiment, with one trial of its search space: the milliseconds of an epoch of all folds in a program
of one lane that is called once for each, in one program with all lanes stacked, and in one program with one lane after
the other; and which of the two the engine would choose. The lines are written to benchmarks/results/families.json too.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the files beside this one, whatever is installed

import optuna

from benchmarks import commands
from benchmarks.lanes import device, measure
from tuner.experiment import Experiment, arrays_of, load_experiment, override
from tuner.lanes.arrays import Arrays
from tuner.lanes.engine import Engine
from tuner.lanes.layout import layout_of
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


def main() -> None:
    """Measures each experiment and prints its line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--experiments", type=lambda text: text.split(","), default=list(EXPERIMENTS))
    parser.add_argument("--rows", type=int, default=1200, help="of the data at most")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3, help="measured, after a first one")
    parser.add_argument("--results", type=Path, default=commands.HERE / "results", help="folder of the raw numbers")
    chosen = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(f"{chosen.rows} rows at most, {chosen.folds} folds, on {device()}; milliseconds of an epoch of all folds")
    print(f"{'experiment':<30}{'one at a time':>14}{'stacked':>10}{'in turn':>10}  {'chosen':<9}{'ratio':>6}")
    rows = []
    for name in chosen.experiments:
        row = {"experiment": name} | measured(name, chosen)
        rows.append(row)
        each = "".join(
            f"{row[way] * 1e3:>{width}.1f}" for way, width in (("alone", 14), ("stacked", 10), ("turns", 10))
        )
        print(f"{name:<30}{each}  {row['chosen']:<9}{row['ratio']:>6.2f}", flush=True)
    written = {"device": device(), "rows_at_most": chosen.rows, "folds": chosen.folds, "versions": commands.versions()}
    chosen.results.mkdir(parents=True, exist_ok=True)
    (chosen.results / "families.json").write_text(json.dumps(written | {"rows": rows}, indent=1) + "\n")


def measured(name: str, chosen: argparse.Namespace) -> dict[str, Any]:
    """Seconds of an epoch of a trial's folds each way, and the way that the engine takes."""
    experiment = sliced(name, chosen)
    arrays, hyperparameters = arrays_of(experiment), hyperparameters_of(experiment)
    alone = chosen.folds * seconds_of(experiment, replace(arrays, folds=arrays.folds[:1]), hyperparameters, 1, chosen)
    ways = {
        "stacked": seconds_of(experiment, arrays, hyperparameters, None, chosen),
        "turns": seconds_of(experiment, arrays, hyperparameters, 1, chosen),
    }
    way = "stacked" if engine_stacks(experiment, arrays, hyperparameters) else "turns"
    return {"alone": alone, **ways, "chosen": way, "ratio": alone / ways[way]}


def sliced(name: str, chosen: argparse.Namespace) -> Experiment:
    """An experiment on as many rows as there are, up to a limit."""
    experiment, _ = load_experiment(str(commands.ROOT / "experiments" / f"{name}.py"))
    experiment = override(experiment, [f"folds={chosen.folds}"])
    rows = len(experiment.data().inputs) if callable(experiment.data) else len(experiment.data.inputs)
    return override(experiment, [f"data.limit={chosen.rows}"]) if rows > chosen.rows else experiment


def hyperparameters_of(experiment: Experiment) -> dict[str, Any]:
    """The first trial that a random sampler draws."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return dict(experiment.search_space(study.ask()))


def seconds_of(
    experiment: Experiment, arrays: Arrays, hyperparameters: dict[str, Any], together: int | None, chosen: Any
) -> float:
    """Seconds of an epoch of one trial in a program of its own sizes."""
    parts, batch_size = parts_of(hyperparameters), setting(hyperparameters, "batch_size")
    recipe = Recipe(experiment.model, arrays.spec, arrays.task, parts.narrow)
    seconds, _ = measure(
        recipe, arrays, parts.numbers, layout_of(arrays, batch_size, 1, together=together), chosen.epochs
    )
    return seconds


def engine_stacks(experiment: Experiment, arrays: Arrays, hyperparameters: dict[str, Any]) -> bool:
    """Whether the engine trains a trial's lanes stacked, before it has measured anything."""
    engine = Engine(experiment.model, arrays, slots=1, seed=0, deterministic=True)
    engine.add(0, hyperparameters)
    engine.seat()
    placement = engine.placement_of(0)
    engine.close()
    return placement is not None and placement["lanes_together"] > 1


if __name__ == "__main__":
    main()
