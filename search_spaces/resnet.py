"""Search spaces for `tuner.models.ResNet`: functions of an Optuna trial."""

from typing import Any

from tuner import Width


def small_resnet(trial: Any) -> dict[str, Any]:
    """Two elastic stages of one block, SGD with Nesterov's momentum on a cosine schedule.

    The optimizer's ranges enclose what the authors of wide residual networks took (Zagoruyko and Komodakis, 2016,
    section 3: a rate of 0.1, momentum of 0.9, weight decay of 5e-4).
    """
    return {
        "channels": [
            Width(trial.suggest_int("channels_0", 8, 32, log=True), cap=32),
            Width(trial.suggest_int("channels_1", 16, 64, log=True), cap=64),
        ],
        "norm": trial.suggest_categorical("norm", ["batch", "group"]),
        "optimizer": "sgd",
        "nesterov": True,
        "momentum": trial.suggest_float("momentum", 0.8, 0.98),
        "learning_rate": trial.suggest_float("learning_rate", 1e-2, 0.5, log=True),
        "schedule": "cosine",
        "batch_size": 64,
        "l2": trial.suggest_float("l2", 1e-5, 1e-2, log=True),
        "random_shift": trial.suggest_float("random_shift", 0.0, 0.2),
    }
