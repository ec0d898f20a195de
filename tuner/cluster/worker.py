"""A worker: an actor of Ray's, that is a process on one of its machines, which runs the study as ``tuner run`` does."""

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import ray

from tuner.study.options import Options

Ending = Literal["finished", "interrupted"]


@dataclass(frozen=True)
class Order:
    """What a worker shall do.

    What holds passwords is not in its repr, and it travels as an argument: Ray shows the environment that actors are
    made with, but not what their methods are given.

    Attributes:
        experiment: its file, as the command line takes it.
        settings: ``KEY=VALUE`` overrides.
        study: its name.
        folder: where the user stands.
        options: how to run.
        environment: variables for the worker's process; those that it has already stay as they are.
    """

    experiment: str
    settings: tuple[str, ...]
    study: str
    folder: str
    options: Options = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class Place:
    """Where a worker is: Ray's name of the node, and the process there."""

    node: str
    process: int


class Worker:
    """Runs a study in its process's main thread, where signals arrive."""

    def place(self) -> Place:
        """Where this process is; the answer says that it has begun."""
        return Place(ray.get_runtime_context().get_node_id(), os.getpid())

    def run(self, order: Order) -> Ending:
        """Run the study until it holds its trials, or until SIGTERM.

        Raises:
            InputError: the experiment is wrong, or not that of the study.
            StudyFailed: the first trials all failed.
        """
        for name, value in order.environment.items():
            os.environ.setdefault(name, value)
        with contextlib.suppress(OSError):  # only relative paths of the user's own need the folder
            os.chdir(order.folder)
        return _run(order)


def terminate(process: int) -> None:
    """Ask a worker on this machine to keep what it trains and to end."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGTERM)


def _run(order: Order) -> Ending:
    import optuna

    from tuner.experiment import load_experiment
    from tuner.report.pictures import pictures_of
    from tuner.study import Interrupted, run_study
    from tuner.study.storage import close_databases

    logging.basicConfig(format="%(message)s", stream=sys.stderr, level=logging.WARNING)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    experiment, source = load_experiment(order.experiment)
    try:
        run_study(experiment, source, order.settings, order.study, order.options, say=_say, draw=pictures_of)
    except Interrupted:
        return "interrupted"
    finally:
        close_databases()
    return "finished"


def _say(sentence: str) -> None:
    print(f"note: {sentence}", file=sys.stderr, flush=True)  # noqa: T201  Ray brings it to whoever gave the command
