# ruff: noqa: E402 -- the clock starts before the heavy imports, which are reported on their own
"""KerasTuner with Keras on its JAX backend: a hypermodel whose ``fit`` is the cross-validation.

    python benchmarks/opponents/keras_cv.py --task digits-mlp --params FILE.json --out FILE.json [--trials N]

An oracle of a few lines hands out the given trials. The callbacks that save checkpoints are left out: no one reads
them, and they would only cost time.
"""

import time

IMPORT_START = time.perf_counter()

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ["KERAS_BACKEND"] = "jax"

import keras
import keras_tuner
import numpy as np

from benchmarks.opponents.command import Trials, parser_of, run_command
from benchmarks.tasks import DROPOUT, WEIGHT_DECAY, Data, Task, epoch_batches, steps_per_epoch

IMPORT_SECONDS = time.perf_counter() - IMPORT_START


class Batches(keras.utils.PyDataset):
    """A fold's training rows in batches of one size, in a new order each epoch."""

    def __init__(self, data: Data, rows: np.ndarray, batch_size: int, rng: np.random.Generator) -> None:
        super().__init__()
        self.data, self.rows, self.size, self.rng = data, rows, batch_size, rng
        self.on_epoch_end()

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self.order[index]
        return self.data.x[rows], self.data.y[rows]

    def on_epoch_end(self) -> None:
        """Shuffles."""
        self.order = epoch_batches(self.rows, self.size, self.rng)


class CrossValidated(keras_tuner.HyperModel):
    """The task's network, and its cross-validation as the way to fit it."""

    def __init__(self, task: Task, data: Data) -> None:
        super().__init__()
        self.task, self.data, self.number = task, data, 0

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """A compiled model."""
        widths = [hp.Int(name, least, most, sampling="log") for name, least, most in self.task.widths]
        model = keras.Sequential(
            [keras.Input(self.data.x.shape[1:]), *self._layers(widths, hp.Float("dropout", *DROPOUT)), self._head()]
        )
        steps = steps_per_epoch(len(self.data.folds[0][0]), hp.Choice("batch_size", list(self.task.batch_sizes)))
        rate = hp.Float("learning_rate", *self.task.learning_rate, sampling="log")
        decay = hp.Float("weight_decay", *WEIGHT_DECAY, sampling="log")
        schedule = keras.optimizers.schedules.CosineDecay(rate, self.task.epochs * steps)
        model.compile(
            keras.optimizers.AdamW(schedule, weight_decay=decay),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        return model

    def fit(self, hp: keras_tuner.HyperParameters, model: keras.Model, **_: Any) -> dict[str, float]:
        """Trains on every fold: ``model`` on the first, and one built anew on each other."""
        values = []
        for fold in range(self.task.folds):
            seed = self.task.folds * self.number + fold
            keras.utils.set_random_seed(seed)
            fresh = self.build(hp) if fold else model
            values.append(self._fit_fold(fresh, hp.get("batch_size"), fold, np.random.default_rng(seed)))
        self.number += 1
        return {"value": float(np.mean(values))}

    def _fit_fold(self, model: keras.Model, batch_size: int, fold: int, rng: np.random.Generator) -> float:
        train, valid = self.data.folds[fold]
        history = model.fit(
            Batches(self.data, train, batch_size, rng),
            epochs=self.task.epochs,
            validation_data=(self.data.x[valid], self.data.y[valid]),
            validation_batch_size=len(valid),
            verbose=0,
        )
        return history.history["val_accuracy"][-1]

    def _layers(self, widths: list[int], dropout: float) -> list[keras.Layer]:
        options = {"activation": "relu", "kernel_initializer": "lecun_normal"}  # the initializer of Flax
        layers: list[keras.Layer] = []
        if self.task.convolutional:
            for width in widths:
                layers += [keras.layers.Conv2D(width, 3, padding="same", **options), keras.layers.MaxPooling2D(2)]
            return [*layers, keras.layers.Flatten(), keras.layers.Dropout(dropout)]
        for width in widths:
            layers += [keras.layers.Dense(width, **options), keras.layers.Dropout(dropout)]
        return [keras.layers.Flatten(), *layers]

    def _head(self) -> keras.Layer:
        return keras.layers.Dense(self.data.classes, kernel_initializer="lecun_normal")


class Given(keras_tuner.Oracle):
    """Hands out the given values, one trial after the other."""

    def __init__(self, points: Trials) -> None:
        super().__init__(objective=keras_tuner.Objective("value", "max"), max_trials=len(points))
        self.points = points

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The next trial's values."""
        return {"status": keras_tuner.engine.trial.TrialStatus.RUNNING, "values": dict(self.points[int(trial_id)])}


class TimedTuner(keras_tuner.Tuner):
    """Notes what each trial took."""

    def run_trial(self, trial: keras_tuner.engine.trial.Trial, *args: Any, **kwargs: Any) -> Any:
        """One trial."""
        start = time.time()
        result = super().run_trial(trial, *args, **kwargs)
        self.times = [*getattr(self, "times", []), (time.time() - start, time.time())]
        return result


def run(task: Task, data: Data, params: Trials) -> Trials:
    """Searches over the given trials."""
    with tempfile.TemporaryDirectory() as folder:
        tuner = TimedTuner(oracle=Given(params), hypermodel=CrossValidated(task, data), directory=folder)
        tuner.search(verbose=0)
        trials = [tuner.oracle.trials[name] for name in tuner.oracle.start_order]
    return [
        {"params": trial.hyperparameters.values, "value": trial.score, "seconds": seconds, "ended": ended}
        for trial, (seconds, ended) in zip(trials, tuner.times, strict=True)
    ]


if __name__ == "__main__":
    run_command(parser_of(__doc__).parse_args(), run, IMPORT_SECONDS)
