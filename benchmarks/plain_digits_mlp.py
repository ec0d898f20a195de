# ruff: noqa: E402 -- the clock starts before the heavy imports, which are reported on their own
"""The opponent: digits tuned with plain Optuna and Flax NNX, the way their own documentation writes it.

One trial builds, compiles and trains a fresh model on each of five folds. Usage:

    python benchmarks/plain_digits_mlp.py --params FILE.json --out FILE.json [--trials N]
    python benchmarks/plain_digits_mlp.py --seed 0 --trials 2 --out FILE.json

FILE.json holds a list of Optuna parameters, one mapping a trial; without it they are drawn at random.
"""

import time

IMPORT_START = time.perf_counter()

import argparse
import functools
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import optuna
from flax import nnx
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold, train_test_split

IMPORT_SECONDS = time.perf_counter() - IMPORT_START
EPOCHS = 20
FOLDS = 5

digits = load_digits()
images, labels = (digits.data / 16).astype(np.float32), digits.target.astype(np.int32)
x, _, y, _ = train_test_split(images, labels, test_size=0.2, stratify=labels, random_state=0)


class MLP(nnx.Module):
    """A multilayer perceptron: linear, relu and dropout for each hidden width, then a linear layer."""

    def __init__(self, hidden: list[int], dropout: float, *, rngs: nnx.Rngs) -> None:
        widths = [x.shape[1], *hidden]
        self.layers = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in pairwise(widths)])
        self.dropout = nnx.Dropout(dropout, rngs=rngs)
        self.head = nnx.Linear(widths[-1], 10, rngs=rngs)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Maps a batch of flat images to logits."""
        for layer in self.layers:
            inputs = self.dropout(nnx.relu(layer(inputs)))
        return self.head(inputs)


@nnx.jit
def train_step(model: MLP, optimizer: nnx.Optimizer, inputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Updates the model on one batch and returns the loss."""

    def loss_fn(model: MLP) -> jax.Array:
        return optax.softmax_cross_entropy_with_integer_labels(model(inputs), targets).mean()

    loss, grads = nnx.value_and_grad(loss_fn)(model)
    optimizer.update(model, grads)
    return loss


@nnx.jit
def eval_step(model: MLP, inputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Returns the accuracy on a batch."""
    return (model(inputs).argmax(axis=-1) == targets).mean()


def batches(rows: np.ndarray, batch_size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yields the row numbers of an epoch's batches; the last is filled up from the permutation's start."""
    order = rng.permutation(rows)
    order = np.concatenate([order, order[: -len(order) % batch_size]])
    yield from order.reshape(-1, batch_size)


def search_space(trial: optuna.trial.BaseTrial) -> dict[str, Any]:
    """Suggests a trial's hyperparameters."""
    return {
        "hidden": [trial.suggest_int("hidden_0", 16, 256, log=True)],
        "learning_rate": trial.suggest_float("learning_rate", 1e-3, 1e-1, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128]),
        "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
    }


def objective(trial: optuna.trial.BaseTrial, *, one_optimizer: bool = False) -> float:
    """Returns the mean over the folds of the last epoch's validation accuracy.

    Model and optimizer are made together for each fold, as Flax's docs make them. The transformation is static in
    ``nnx.Optimizer``, so each fold compiles its train step; with ``one_optimizer`` the folds share one, and a compile.
    """
    hp = search_space(trial)
    steps = -(-len(x) * (FOLDS - 1) // FOLDS // hp["batch_size"])
    schedule = optax.cosine_decay_schedule(hp["learning_rate"], EPOCHS * steps)
    tx = optax.adamw(schedule, weight_decay=hp["weight_decay"])
    accuracies = []
    for fold, (train, valid) in enumerate(StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(x, y)):
        seed = FOLDS * trial.number + fold
        rng = np.random.default_rng(seed)
        model = MLP(hp["hidden"], hp["dropout"], rngs=nnx.Rngs(seed))
        if not one_optimizer:
            tx = optax.adamw(schedule, weight_decay=hp["weight_decay"])
        optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
        for _ in range(EPOCHS):
            model.train()
            for rows in batches(train, hp["batch_size"], rng):
                train_step(model, optimizer, x[rows], y[rows])
            model.eval()
            accuracy = float(eval_step(model, x[valid], y[valid]))
        accuracies.append(accuracy)
    return float(np.mean(accuracies))


def run_trials(params_list: list[dict[str, Any]], *, one_optimizer: bool = False) -> list[dict[str, Any]]:
    """Runs one trial for each mapping of Optuna parameters, in their order, in one in-memory study."""
    study = optuna.create_study(direction="maximize")
    for params in params_list:
        study.enqueue_trial(params)
    study.optimize(functools.partial(objective, one_optimizer=one_optimizer), n_trials=len(params_list))
    return [{"params": t.params, "value": t.value, "seconds": t.duration.total_seconds()} for t in study.trials]


def random_params(count: int, seed: int) -> list[dict[str, Any]]:
    """Draws parameters from the search space with Optuna's random sampler."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    trials = [study.ask() for _ in range(count)]
    for trial in trials:
        search_space(trial)
    return [trial.params for trial in trials]


def main() -> None:
    """Runs the trials and writes what they took."""
    parser = argparse.ArgumentParser(description="Plain Optuna + Flax NNX on digits.")
    parser.add_argument("--params", type=Path, help="JSON list of Optuna parameters; random ones by default")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--trials", type=int, help="number of trials (default: all of --params, or 20 random ones)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random parameters")
    parser.add_argument("--one-optimizer", action="store_true", help="the folds of a trial share a compiled train step")
    args = parser.parse_args()
    params_list = json.loads(args.params.read_text()) if args.params else random_params(args.trials or 20, args.seed)
    start = time.perf_counter()
    trials = run_trials(params_list[: args.trials], one_optimizer=args.one_optimizer)
    seconds = time.perf_counter() - start
    args.out.write_text(json.dumps({"seconds": seconds, "import_seconds": IMPORT_SECONDS, "trials": trials}, indent=2))
    print(f"{len(trials)} trials in {seconds:.1f} s ({seconds / max(len(trials), 1):.2f} s a trial)")


if __name__ == "__main__":
    main()
