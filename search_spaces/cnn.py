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


def image_cnn(trial: Any) -> dict[str, Any]:
    """Two elastic convolutions and an elastic dense layer for images of some 28 pixels, Adam with an L2 penalty."""
    return {
        "channels": [
            Width(trial.suggest_int("channels_0", 8, 32, log=True), cap=32),
            Width(trial.suggest_int("channels_1", 16, 64, log=True), cap=64),
        ],
        "hidden": [Width(trial.suggest_int("hidden_0", 32, 128, log=True), cap=128)],
        "optimizer": "adam",
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True),
        "schedule": "cosine",
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128]),
        "l2": trial.suggest_float("l2", 1e-7, 1e-3, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
    }
