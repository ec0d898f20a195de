"""Search spaces for `tuner.models.RNN`: functions of an Optuna trial."""

from typing import Any

from tuner import Width


def recurrent(trial: Any) -> dict[str, Any]:
    """One elastic recurrent layer of 20 to 200 units, Adam on a one-cycle schedule, clipped gradients.

    The units' range is that of Greff et al., "LSTM: a search space odyssey" (2017), section V-C; so is the upper end of
    the rate's.
    """
    return {
        "hidden": [Width(trial.suggest_int("hidden_0", 20, 200, log=True), cap=200)],
        "optimizer": "adam",
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True),
        "schedule": "one_cycle",
        "gradient_clip": trial.suggest_float("gradient_clip", 0.3, 3.0, log=True),
        "batch_size": 32,
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
    }


def gru(trial: Any) -> dict[str, Any]:
    """`recurrent` with gated recurrent units."""
    return {"cell": "gru", **recurrent(trial)}


def simple_rnn(trial: Any) -> dict[str, Any]:
    """`recurrent` with simple units."""
    return {"cell": "rnn", **recurrent(trial)}


def characters_lstm(trial: Any) -> dict[str, Any]:
    """`recurrent` with long short-term memory over embedded characters."""
    embedding = Width(trial.suggest_int("embedding", 8, 32, log=True), cap=32)
    return {"cell": "lstm", "embedding": embedding, **recurrent(trial)}
