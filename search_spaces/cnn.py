"""Search spaces for `tuner.models.CNN`: functions of an Optuna trial."""

from typing import Any

from tuner import Width


def small_cnn(trial: Any) -> dict[str, Any]:
    """Two elastic convolutions of 8 to 32 and 8 to 64 channels for small images, AdamW on a cosine schedule."""
    return {
        "channels": [
            Width(trial.suggest_int("channels_0", 8, 32, log=True), cap=32),
            Width(trial.suggest_int("channels_1", 8, 64, log=True), cap=64),
        ],
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        "schedule": "cosine",
        "batch_size": trial.suggest_categorical("batch_size", [16, 32, 64, 128]),
        "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
    }
