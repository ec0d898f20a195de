"""The command line that all peers have in common, and the file that each writes."""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna

from benchmarks.tasks import TASKS, Data, Task, load_data

Trials = list[dict[str, Any]]


def parser_of(documentation: str | None) -> argparse.ArgumentParser:
    """The options of every peer."""
    parser = argparse.ArgumentParser(description=(documentation or "").splitlines()[0])
    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--params", type=Path, help="JSON list of Optuna parameters, one mapping a trial")
    parser.add_argument("--trials", type=int, help="run the first of them only")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    return parser


def run_command(
    arguments: argparse.Namespace, run: Callable[[Task, Data, Trials], Trials], import_seconds: float
) -> None:
    """Runs the trials that are given and writes what they took.

    Args:
        arguments: from ``parser_of``.
        run: maps a task, its data and parameters to the trials: ``params``, ``value`` and ``seconds`` of each.
        import_seconds: what the imports took.
    """
    params = json.loads(arguments.params.read_text())[: arguments.trials] if arguments.params else []
    task = TASKS[arguments.task]
    start = time.perf_counter()
    try:
        data = load_data(task)
    except FileNotFoundError as error:
        raise SystemExit(str(error)) from None
    trials = run(task, data, params)
    seconds = time.perf_counter() - start
    result = {"seconds": seconds, "import_seconds": import_seconds, "trials": trials}
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{len(trials)} trials in {seconds:.1f} s ({seconds / max(len(trials), 1):.2f} s a trial)")


def study_of(params: Trials, **options: Any) -> optuna.Study:
    """A study whose first trials are the given ones, in their order."""
    study = optuna.create_study(direction="maximize", **options)
    for values in params:
        study.enqueue_trial(values)
    return study


def trials_of(study: optuna.Study) -> Trials:
    """The complete trials, in the order of their numbers; ``ended`` is a time of day, in seconds since 1970."""
    return [_written(trial) for trial in study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))]


def _written(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    seconds = trial.duration.total_seconds() if trial.duration else 0.0
    ended = trial.datetime_complete.timestamp() if trial.datetime_complete else None
    return {"params": trial.params, "value": trial.value, "seconds": seconds, "ended": ended}
