"""Search spaces for `tuner.models.MLP`: functions of an Optuna trial."""

from typing import Any

from tuner import Width


def one_layer(trial: Any) -> dict[str, Any]:
    """One elastic hidden layer of 16 to 256 units, AdamW on a cosine schedule."""
    return {
        "hidden": [Width(trial.suggest_int("hidden_0", 16, 256, log=True), cap=256)],
        "learning_rate": trial.suggest_float("learning_rate", 1e-3, 1e-1, log=True),
        "schedule": "cosine",
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128]),
        "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
    }


def small_table(trial: Any) -> dict[str, Any]:
    """One small elastic hidden layer for tables of some hundred rows, AdamW with an L2 penalty."""
    return {
        "hidden": [Width(trial.suggest_int("hidden_0", 4, 64, log=True), cap=64)],
        "learning_rate": trial.suggest_float("learning_rate", 1e-3, 1e-1, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [16, 32]),
        "l2": trial.suggest_float("l2", 1e-6, 1e-1, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
    }


def table(trial: Any) -> dict[str, Any]:
    """Two elastic hidden layers for tables of thousands of rows.

    Ranges of dropout and weight decay are those of Gorishniy et al., "Revisiting deep learning models for tabular data"
    (2021), appendix; widths and the rate lie within theirs.
    """
    return {
        "hidden": [Width(trial.suggest_int(f"hidden_{layer}", 16, 256, log=True), cap=256) for layer in range(2)],
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True),
        "schedule": "cosine",
        "batch_size": trial.suggest_categorical("batch_size", [128, 256]),
        "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-3, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
    }
