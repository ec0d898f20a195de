"""Search spaces for `tuner.models.TransformerEncoder` and `tuner.models.GPT`: functions of an Optuna trial."""

from typing import Any

from tuner import Width


def small_transformer(trial: Any) -> dict[str, Any]:
    """Two layers, elastic features, heads and dense layers, AdamW with a warm-up before a cosine schedule."""
    return {
        "features": Width(trial.suggest_int("features", 24, 96, step=8), cap=96),
        "heads": Width(trial.suggest_int("heads", 1, 4), cap=4),
        "head_size": 16,
        "feedforward": Width(trial.suggest_int("feedforward", 64, 256, log=True), cap=256),
        "layers": 2,
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True),
        "schedule": "cosine",
        "warmup": trial.suggest_float("warmup", 0.02, 0.2),
        "gradient_clip": 1.0,
        "batch_size": 32,
        "weight_decay": trial.suggest_float("weight_decay", 1e-4, 0.3, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.3),
    }
