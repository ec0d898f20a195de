# ruff: noqa: E402 -- the clock starts before the heavy imports, which are reported on their own
"""What an expert of JAX writes: a compiled training per shape, its floats traced, the folds vmapped, one scan.

    python benchmarks/opponents/expert.py --task digits-mlp --params FILE.json --out FILE.json [--trials N]

The data stays on the device, the data's order comes from the host, and ``jax.jit`` keeps one program for each pair of
widths and batch size: trials of the same shape share it.
"""

import time

IMPORT_START = time.perf_counter()

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import jax.numpy as jnp
import numpy as np
import optuna

from benchmarks.opponents.command import Trials, parser_of, run_command, study_of, trials_of
from benchmarks.opponents.compiled import Training, train_scanned, train_stepped
from benchmarks.opponents.networks import network_of
from benchmarks.tasks import Data, Task, epoch_batches, steps_per_epoch

IMPORT_SECONDS = time.perf_counter() - IMPORT_START


def run(task: Task, data: Data, params: Trials) -> Trials:
    """Runs the trials one after the other in an Optuna study."""
    x, y = jax.device_put(data.x), jax.device_put(data.y)
    train = train_stepped if task.convolutional and jax.default_backend() == "cpu" else train_scanned

    def objective(trial: optuna.Trial) -> float:
        hp = task.suggest(trial)
        floats = {name: np.float32(hp[name]) for name in ("learning_rate", "weight_decay", "dropout")}
        folds = folds_of(task, data, hp["batch_size"], trial.number)
        return float(train(training_of(task, data, hp), x, y, floats, folds)[:, -1].mean())

    study = study_of(params)
    study.optimize(objective, n_trials=len(params))
    return trials_of(study)


def training_of(task: Task, data: Data, hp: dict[str, Any]) -> Training:
    """The static part of a trial; every fold takes the same number of steps."""
    steps = task.epochs * steps_per_epoch(len(data.folds[0][0]), hp["batch_size"])
    return Training(network_of(task), data.x.shape[1:], tuple(hp["widths"]), data.classes, steps)


def folds_of(task: Task, data: Data, batch_size: int, number: int) -> dict[str, Any]:
    """What differs between the folds of a trial, stacked; validation rows are filled up with weightless ones."""
    seeds = [task.folds * number + fold for fold in range(task.folds)]
    longest = max(len(valid) for _, valid in data.folds)
    orders = [
        _order(train, batch_size, task.epochs, np.random.default_rng(seed))
        for seed, (train, _) in zip(seeds, data.folds, strict=True)
    ]
    return {
        "key": jnp.stack([jax.random.key(seed) for seed in seeds]),
        "order": np.stack(orders),
        "valid": np.stack([np.resize(valid, longest).astype(np.int32) for _, valid in data.folds]),
        "weights": np.stack([(np.arange(longest) < len(valid)) / np.float32(len(valid)) for _, valid in data.folds]),
    }


def _order(rows: np.ndarray, batch_size: int, epochs: int, rng: np.random.Generator) -> np.ndarray:
    return np.stack([epoch_batches(rows, batch_size, rng) for _ in range(epochs)]).astype(np.int32)


if __name__ == "__main__":
    run_command(parser_of(__doc__).parse_args(), run, IMPORT_SECONDS)
