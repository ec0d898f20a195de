"""What is tried: a function of an Optuna trial. The model reads some names, the trainer the others."""

from tuner import Width


def search_space(trial):
    """One elastic layer of 4 to 64 units, AdamW with dropout and weight decay."""
    return {
        "units": Width(trial.suggest_int("units", 4, 64, log=True), cap=64),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "learning_rate": trial.suggest_float("learning_rate", 1e-3, 1e-1, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [16, 32]),
        "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True),
    }
