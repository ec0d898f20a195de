# ruff: noqa: E402 -- the clock starts before the heavy imports, which are reported on their own
"""Ray Tune: trials in worker processes, one per core at a time.

    python benchmarks/opponents/ray_tune.py --task digits-mlp --params FILE.json --out FILE.json [--trials N]

The trainable is the plain cross-validation. Workers are reused, which saves every trial the imports.
"""

import time

IMPORT_START = time.perf_counter()

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
from ray import tune
from ray.tune.search.basic_variant import BasicVariantGenerator

from benchmarks.opponents.command import Trials, parser_of, run_command
from benchmarks.opponents.training import cross_validate
from benchmarks.tasks import DROPOUT, WEIGHT_DECAY, Data, Task

IMPORT_SECONDS = time.perf_counter() - IMPORT_START


def trainable(config: dict[str, Any], task: Task, data: Data) -> None:
    """One trial."""
    hp = task.hyperparameters(config)
    tune.report({"value": cross_validate(task, data, hp, config["number"])})


def param_space(task: Task, count: int) -> dict[str, Any]:
    """The task's search space in Ray's words."""
    return {name: tune.lograndint(least, most + 1) for name, least, most in task.widths} | {
        "learning_rate": tune.loguniform(*task.learning_rate),
        "batch_size": tune.choice(list(task.batch_sizes)),
        "weight_decay": tune.loguniform(*WEIGHT_DECAY),
        "dropout": tune.uniform(*DROPOUT),
        "number": tune.randint(0, count),
    }


def run(task: Task, data: Data, params: Trials) -> Trials:
    """Runs the given points on as many workers as there are cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    points = [values | {"number": number} for number, values in enumerate(params)]
    ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_parameters(trainable, task=task, data=data),
            param_space=param_space(task, len(points)),
            tune_config=tune.TuneConfig(
                metric="value",
                mode="max",
                search_alg=BasicVariantGenerator(points_to_evaluate=list(points), max_concurrent=cores),
                num_samples=len(points),
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(storage_path=folder, name="benchmark", verbose=0),
        )
        results = tuner.fit()
        trials = dict(_trial(results[index]) for index in range(len(results)))
    return [trials[number] for number in range(len(points))]


def _trial(result: Any) -> tuple[int, dict[str, Any]]:
    if result.error:
        raise result.error
    params = dict(result.config)
    number = params.pop("number")
    return number, {
        "params": params,
        "value": result.metrics["value"],
        "seconds": result.metrics["time_total_s"],
        "ended": float(result.metrics["timestamp"]),
    }


if __name__ == "__main__":
    run_command(parser_of(__doc__).parse_args(), run, IMPORT_SECONDS)
