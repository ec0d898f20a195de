"""A cross-validation the way Flax's docs write a training: what plain, processes and ray have in common."""

from typing import Any

import jax
import numpy as np
import optax
from flax import nnx

from benchmarks.opponents.networks import CNN, MLP, network_of
from benchmarks.tasks import Data, Task, epoch_batches, steps_per_epoch


@nnx.jit
def train_step(
    model: MLP | CNN, optimizer: nnx.Optimizer[MLP | CNN], inputs: jax.Array, targets: jax.Array
) -> jax.Array:
    """Updates the model on one batch and returns the loss."""

    def loss_fn(model: MLP | CNN) -> jax.Array:
        return optax.softmax_cross_entropy_with_integer_labels(model(inputs), targets).mean()

    loss, grads = nnx.value_and_grad(loss_fn)(model)
    optimizer.update(model, grads)
    return loss


@nnx.jit
def eval_step(model: MLP | CNN, inputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Returns the accuracy on a batch."""
    return (model(inputs).argmax(axis=-1) == targets).mean()


def cross_validate(task: Task, data: Data, hp: dict[str, Any], number: int, *, one_optimizer: bool = False) -> float:
    """Returns the mean over the folds of the last epoch's validation accuracy.

    Model and optimizer are made together for each fold, as Flax's docs make them. The transformation is static in
    ``nnx.Optimizer``, so each fold compiles its train step; with ``one_optimizer`` the folds share one, and a compile.

    Args:
        task: what is trained.
        data: its rows and folds.
        hp: the trial's hyperparameters.
        number: the trial's number, which seeds it.
        one_optimizer: whether the folds share a transformation.
    """
    shared = _transformation(task, data, hp) if one_optimizer else None
    accuracies = [_train_fold(task, data, hp, task.folds * number + fold, fold, shared) for fold in range(task.folds)]
    return float(np.mean(accuracies))


def _train_fold(
    task: Task, data: Data, hp: dict[str, Any], seed: int, fold: int, shared: optax.GradientTransformation | None
) -> float:
    rngs, rng = nnx.Rngs(seed), np.random.default_rng(seed)
    dropout = nnx.Dropout(hp["dropout"], rngs=rngs)
    model = network_of(task)(data.x.shape[1:], hp["widths"], data.classes, dropout, rngs=rngs)
    optimizer = nnx.Optimizer(model, shared or _transformation(task, data, hp), wrt=nnx.Param)
    train, valid = data.folds[fold]
    for _ in range(task.epochs):
        model.train()
        for rows in epoch_batches(train, hp["batch_size"], rng):
            train_step(model, optimizer, data.x[rows], data.y[rows])
        model.eval()
        accuracy = float(eval_step(model, data.x[valid], data.y[valid]))
    return accuracy


def _transformation(task: Task, data: Data, hp: dict[str, Any]) -> optax.GradientTransformation:
    steps = task.epochs * steps_per_epoch(len(data.folds[0][0]), hp["batch_size"])
    schedule = optax.cosine_decay_schedule(hp["learning_rate"], steps)
    return optax.adamw(schedule, weight_decay=hp["weight_decay"])
