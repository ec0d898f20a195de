"""Several workers on one study: real processes on a real PostgreSQL, really killed, and MLflow beside them."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from inspect import getsource
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState

import tuner
from tests.study.conftest import iris_experiment, iris_space
from tuner import InputError
from tuner.experiment import load_experiment
from tuner.study import Interrupted, Options, StudyFailed
from tuner.study.checkpoints import CheckpointFiles
from tuner.study.run import run_study
from tuner.study.storage import open_storage
from tuner.tracking import MemorySink

ROOT = Path(__file__).parents[2]

EXPERIMENT = """
from tuner import Experiment, Width, datasets, models

{space}
experiment = Experiment(
    name="iris", data=datasets.iris, model=models.MLP, search_space=iris_space, folds=3, epochs={epochs},
    sampler="random", pruner={pruner!r}, test_fraction=0.2,
)
"""  # by itself: what else tests have imported would count as changed


@pytest.fixture
def servers(postgresql):
    """URLs of an empty database for the study and of one for MLflow."""
    engine = sqlalchemy.create_engine(postgresql, isolation_level="AUTOCOMMIT")
    names, urls = ("workers", "workers_mlflow"), []
    with engine.connect() as connection:
        for name in names:
            connection.execute(sqlalchemy.text(f"drop database if exists {name} with (force)"))
            connection.execute(sqlalchemy.text(f"create database {name}"))
            urls.append(postgresql.replace("/postgres?", f"/{name}?"))
    engine.dispose()
    return urls


class Project:
    """A folder with an experiment, and the workers that run it."""

    def __init__(self, folder, storage, tracking, **fields):
        self.folder, self.storage, self.tracking = folder, storage, tracking
        (folder / "pyproject.toml").touch()
        (folder / "iris.py").write_text(EXPERIMENT.format(space=getsource(iris_space), **fields))
        self.started = []

    def start(self, *arguments):
        log = self.folder / f"worker{len(self.started)}.log"
        environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(self.folder / "state")}
        command = [sys.executable, "-m", "tuner.cli", *map(str, arguments), "--storage", self.storage]
        command += ["--tracking-uri", self.tracking, "--checkpoint-every", "0.5"]
        with log.open("w") as stream:
            process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=stream, stderr=stream)
        self.started.append((process, log))
        return process

    def finish(self, process):
        """Wait for a worker: its exit code and what it said."""
        code = process.wait(timeout=300)
        return code, next(log for each, log in self.started if each is process).read_text()

    @property
    def study(self):
        """Its trials and its attributes as they are now."""
        storage = open_storage(self.storage, writable=False)
        study = optuna.load_study(study_name="iris", storage=storage)
        found = study.get_trials(), study.user_attrs
        storage.close()
        return found

    @property
    def trials(self):
        return self.study[0]

    @property
    def checkpoints(self):
        return [path for path in self.folder.rglob("study.json") if not path.parent.name.endswith("draft")]

    def runs(self):
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=self.tracking)
        experiment = client.get_experiment_by_name("iris")
        runs = client.search_runs([experiment.experiment_id], max_results=1000)
        client._tracking_client.store.engine.dispose()
        parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
        return parents, [run for run in runs if "mlflow.parentRunId" in run.data.tags]

    def check_nothing_is_lost(self, trials):
        found = self.trials
        assert [trial.number for trial in found] == list(range(trials))
        assert all(trial.state in {TrialState.COMPLETE, TrialState.PRUNED} for trial in found)
        assert all(sorted(t.intermediate_values) == list(range(1, t.last_step + 1)) for t in found)
        parents, runs = self.runs()
        assert [run.info.status for run in parents] == ["FINISHED"]
        assert Counter(run.data.tags["tuner.trial"] for run in runs) == Counter(map(str, range(trials)))
        expected = {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "KILLED"}
        states = {run.data.tags["tuner.trial"]: run.info.status for run in runs}
        assert states == {str(trial.number): expected[trial.state] for trial in found}
        for run in runs:
            trial = found[int(run.data.tags["tuner.trial"])]
            shown = run.data.metrics["accuracy"]
            assert shown == pytest.approx(trial.intermediate_values[trial.last_step])
        assert self.checkpoints == []


@pytest.fixture
def project(tmp_path, servers):
    made = []

    def make(**fields):
        made.append(Project(tmp_path, *servers, **{"epochs": 60, "pruner": "none", **fields}))
        return made[-1]

    yield make
    for process, _ in made[0].started if made else ():
        process.kill()
        process.wait()


def wait_until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the study did not get that far"
        time.sleep(0.05)


def kill_at_random(project, arguments, workers, kills, seed):
    """Keep so many workers running, and kill one after the other, until so many were killed or the study has ended."""
    rng, done = random.Random(seed), 0
    running = [project.start(*arguments) for _ in range(workers)]
    while done < kills and all(process.poll() is None for process in running):
        time.sleep(rng.uniform(0.5, 12 / workers))
        place = rng.randrange(workers)
        if running[place].poll() is None:
            running[place].kill()
            running[place].wait()
            done += 1
            running[place] = project.start(*arguments)
    return done, [project.finish(process) for process in running]


def values(trials):
    return [(trial.params, trial.values, trial.intermediate_values) for trial in trials]


@pytest.mark.parametrize(
    ("workers", "trials", "epochs", "kills"),
    [(2, 12, 300, 2), pytest.param(4, 150, 300, 100, marks=pytest.mark.slow)],
)
def test_workers_that_are_killed_lose_nothing_and_double_nothing(project, workers, trials, epochs, kills):
    made = project(epochs=epochs)
    arguments = ("run", "iris.py", "--trials", trials, "--lease", 6)
    killed, ended = kill_at_random(made, arguments, workers, kills, seed=workers)
    assert killed >= min(kills, 2), "the study ended before anybody was killed"
    assert [code for code, _ in ended] == [0] * workers, ended
    made.check_nothing_is_lost(trials)
    whole = tuner.run(
        iris_experiment(epochs=epochs, test_fraction=0.2),
        trials=trials,
        storage="sqlite:///:memory:",
        tracking_uri=None,
    )
    assert values(made.trials) == values(whole.study.trials)
    best = made.study[1]["tuner:best"]
    assert best["test"] == whole.best.test
    assert best["mlflow_run_id"]


class Witness(MemorySink):
    """Kills a worker at the first epoch here, and stops this one once its trials were trained here too."""

    def __init__(self, worker, trained):
        super().__init__()
        self.worker, self.trained = worker, trained

    def epoch(self, number, epoch, metrics):
        super().epoch(number, epoch, metrics)
        self.worker.kill()
        if {0, 1} <= {trial for trial, _ in self.trained}:
            signal.raise_signal(signal.SIGINT)


def test_who_takes_a_dead_workers_trials_over_goes_on_where_it_was(project, monkeypatch, trained):
    made = project(epochs=20_000)
    monkeypatch.setenv("XDG_STATE_HOME", str(made.folder / "state"))
    other = made.start("run", "iris.py", "--trials", 2)
    wait_until(lambda: made.checkpoints)
    options = Options(trials=3, storage=made.storage, tracking_uri=None, lease=3)
    experiment, source = load_experiment(str(made.folder / "iris.py"))
    with pytest.raises(Interrupted):
        run_study(experiment, source, [], "iris", options, progress=Witness(other, trained))
    assert 1 in [epoch for trial, epoch in trained if trial == 2]
    assert min(epoch for trial, epoch in trained if trial < 2) > 1


class Buried(MemorySink):
    """After so many epochs another worker takes this one for dead, as after a pause that was too long, and may stay."""

    def __init__(self, url, epochs, *, stays=False):
        super().__init__()
        self.url, self.left, self.stays, self.requeued = url, epochs, stays, []
        self.other = None

    def epoch(self, number, epoch, metrics):
        super().epoch(number, epoch, metrics)
        self.left -= 1
        if self.left == 0:
            other = self.other = open_storage(self.url)
            study_id = other.get_study_id_from_name("iris")
            other.membership.enter(study_id, 10, alone=False)
            name = other.membership.name
            while len(other.membership.alive()) > 1:  # each of its writes says that it is alive
                with other._backend.engine.begin() as connection:
                    silent = f"update tuner_workers set expires = expires - 1000 where worker <> '{name}'"
                    present = f"update tuner_workers set since = since - 1000 where worker = '{name}'"
                    for statement in (silent, present):
                        connection.execute(sqlalchemy.text(statement))
                other.membership.look()
            if not self.stays:
                other.close()

    def trial_requeued(self, number):
        super().trial_requeued(number)
        self.requeued.append(number)


def noting(folders, save):
    def noted(self, checkpoint):
        folders.append(self.folder)
        save(self, checkpoint)

    return noted


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_worker_that_was_taken_for_dead_starts_over_with_what_waits(
    request, servers, storage, database, tmp_path, monkeypatch
):
    url = storage if database == "sqlite" else servers[0]
    tracking = f"sqlite:///{tmp_path}/mlflow.db"
    experiment, sink = iris_experiment(epochs=20, pruner="none"), Buried(url, 30)
    options = Options(trials=8, storage=url, tracking_uri=tracking, parallel_trials=4, checkpoint_every=1e-9)
    monkeypatch.setattr(CheckpointFiles, "save", noting(saved := [], CheckpointFiles.save))
    found = run_study(experiment, None, [], "iris", options, progress=sink)
    assert sink.requeued
    assert len(set(saved)) == 2  # a worker's folder, and that of the worker that it became
    found.study._storage.close()
    whole = tuner.run(experiment, trials=8, storage="sqlite:///:memory:", tracking_uri=None)
    made = Project(tmp_path, url, tracking, epochs=20, pruner="none")
    made.check_nothing_is_lost(8)
    assert values(made.trials) == values(whole.study.trials)


def test_a_worker_that_must_be_alone_stops_where_another_took_the_study_over(storage):
    sink = Buried(storage, 30, stays=True)
    options = Options(trials=8, storage=storage, tracking_uri=None, parallel_trials=4, deterministic=True)
    with pytest.raises(StudyFailed, match="took the study over"):
        run_study(iris_experiment(epochs=20), None, [], "iris", options, progress=sink)
    sink.other.close()
    found = run_study(iris_experiment(epochs=20), None, [], "iris", options).study
    assert [trial.state for trial in found.trials] == [TrialState.COMPLETE] * 8


def test_deterministic_refuses_company_and_says_so(storage):
    def run(deterministic):
        return tuner.run(
            iris_experiment(), trials=2, storage=storage, study="iris", tracking_uri=None, deterministic=deterministic
        )

    run(False)
    other = open_storage(storage)
    other.membership.enter(other.get_study_id_from_name("iris"), 60, alone=False)
    with pytest.raises(InputError, match="must be alone"):
        run(True)
    run(False)
    other.close()
    run(True)


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def test_two_that_resume_a_study_at_once_share_it(project, database, tmp_path):
    made = project(epochs=150)
    if database == "sqlite":
        made.storage = f"sqlite:///{tmp_path}/tuner.db"
        made.tracking = f"sqlite:///{tmp_path}/mlflow.db"
    first = made.start("run", "iris.py", "--trials", 12, "--json")
    wait_until(lambda: made.checkpoints)
    first.kill()
    first.wait()
    both = [made.start("resume", "iris", "--trials", 12, "--json") for _ in range(2)]
    ended = [made.finish(process) for process in both]
    assert [code for code, _ in ended] == [0, 0], ended
    assert all(json.loads(said[said.index("{") :])["trials"]["complete"] == 12 for _, said in ended)
    made.check_nothing_is_lost(12)
