"""Small data that trains in milliseconds, and a look at a trial's lanes and at what processes show."""

import contextlib
import os
from pathlib import Path

import jax
import numpy as np
import psutil

from tuner.data import Dataset, make_splits, prepare, statistics
from tuner.hyperparameters import split
from tuner.lanes.arrays import Arrays, Part
from tuner.training.recipe import Recipe
from tuner.training.settings import FLOATS
from tuner.training.tasks import task_of

PHASES = (
    "startup",
    "compile_wait",
    "device_wait",
    "sampling",
    "placing",
    "ask_tell",
    "tracking_wait",
    "checkpoint_wait",
    "other",
)
"""The seconds of a study's cost, which sum to its wall time: the names that ``--json`` promises."""


def make_dataset(task="classification", rows=90, columns=5, outputs=3):
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(rows, columns)) * 3 + 1
    signal = np.sin(inputs @ rng.normal(size=(columns, outputs))) + 0.1 * rng.normal(size=(rows, outputs))
    if task == "regression":
        return Dataset(inputs, signal * 10 + 5, task)
    targets = signal.argmax(1) if outputs > 1 else signal[:, 0] > 0
    return Dataset(inputs, targets, task)


class Evil:
    """What makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def listening(process):
    """Where a process and its children listen: address and port of each socket."""
    parent = psutil.Process(process.pid)
    for each in [parent, *parent.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            yield from (found.laddr for found in each.net_connections("inet") if found.status == psutil.CONN_LISTEN)


def command_lines():
    """What anybody on this machine can list of all processes."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield file.read_bytes()


class OrdersInPrograms(Arrays):
    """Arrays whose programs draw the order of the rows, as on an accelerator."""

    @property
    def rows_to_order(self):
        return max(len(part.train) for part in self._all_parts)


def make_arrays(
    task="classification", *, folds=3, epochs=8, standardize=True, kind=Arrays, asked=(), rows_at_once=None, **options
):
    prepared = prepare(make_dataset(task, **options))
    splits = make_splits(prepared, folds, 0.2, 0)

    def part(train, validation):
        return Part(train, validation, statistics(prepared, train, standardize))

    return kind(
        prepared,
        tuple(part(fold.train, fold.validation) for fold in splits.folds),
        part(splits.rest, splits.test),
        epochs,
        task_of(task, asked=asked),
        rows_at_once=rows_at_once,
    )


def parameters_of(engine, trial):
    """A trial's parameters, a list of arrays (folds, ...)."""
    population = engine.population_of(trial)
    seat, folds = population.seats[trial], population.program.layout.folds
    lanes = slice(seat.place * folds, (seat.place + 1) * folds)
    leaves = jax.tree.leaves(population._chunks[seat.chunk].values.parameters)
    return [np.array(leaf[lanes]) for leaf in leaves]


def recipe_of(model, arrays, hyperparameters):
    """The recipe of a trial, with its declared caps."""
    return Recipe(model, arrays.spec, arrays.task, split(hyperparameters, floats=FLOATS).signature)
