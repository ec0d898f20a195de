# ruff: noqa: E402 -- the clock starts before the heavy imports, which are reported on their own
"""Plain Optuna and Flax NNX in one process per core, with a journal file as the storage that they share.

    python benchmarks/opponents/processes.py --task digits-mlp --params FILE.json --out FILE.json [--trials N]

Each process is bound to its core, so that the thread pools do not fight.
"""

import time

IMPORT_START = time.perf_counter()

import multiprocessing
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from benchmarks.opponents.command import Trials, parser_of, run_command, study_of, trials_of
from benchmarks.opponents.training import cross_validate
from benchmarks.tasks import TASKS, Data, Task, load_data

IMPORT_SECONDS = time.perf_counter() - IMPORT_START
STUDY = "processes"


def work(task_name: str, journal: str, core: int, count: int) -> None:
    """Runs trials until ``count`` of them have been handed out; the body of one process."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    task = TASKS[task_name]
    data = load_data(task)

    def objective(trial: optuna.Trial) -> float:
        if trial.number >= count:
            trial.study.stop()
            raise optuna.TrialPruned
        return cross_validate(task, data, task.suggest(trial), trial.number)

    optuna.load_study(study_name=STUDY, storage=_storage(journal)).optimize(objective)


def run(task: Task, data: Data, params: Trials) -> Trials:
    """Starts the processes and waits for them."""
    del data  # each process loads its own
    context = multiprocessing.get_context("spawn")  # JAX must not be forked
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    with tempfile.TemporaryDirectory() as folder:
        journal = str(Path(folder) / "journal.log")
        study = study_of(params, study_name=STUDY, storage=_storage(journal))
        workers = [context.Process(target=work, args=(task.name, journal, core, len(params))) for core in cores]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return trials_of(study)


def _storage(journal: str) -> JournalStorage:
    return JournalStorage(JournalFileBackend(journal))


if __name__ == "__main__":
    run_command(parser_of(__doc__).parse_args(), run, IMPORT_SECONDS)
