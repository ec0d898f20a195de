"""A study that was stopped or killed ends as one that was not: trials go on from their last checkpoint."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

import tuner
from tests.study.conftest import iris_experiment
from tuner.study import Interrupted, Options
from tuner.study.checkpoints import CheckpointFiles
from tuner.study.run import run_study
from tuner.tracking import MemorySink

ROOT = Path(__file__).parents[3]
TRIALS = 14


class StopsAfter(MemorySink):
    """Presses Ctrl-C after so many epochs."""

    def __init__(self, epochs):
        super().__init__()
        self.left = epochs
        self.started = {}

    def trial_started(self, trial):
        super().trial_started(trial)
        self.started[trial.number] = 0

    def epoch(self, number, epoch, metrics):
        super().epoch(number, epoch, metrics)
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


def options(storage, **changes):
    defaults = {"trials": TRIALS, "storage": storage, "tracking_uri": None, "parallel_trials": 4, "seed": 5}
    return Options(**{**defaults, "deterministic": True, **changes})


def facts(study):
    """All that a trial is, but for when and where it ran."""
    return [
        (t.number, t.state, t.params, t.values, t.intermediate_values, t.user_attrs.get("tuner:history"))
        for t in study.get_trials()
    ]


def run_with_stops(experiment, chosen, stops):
    """The study run to its end, stopped after so many epochs each time."""
    sinks = []
    for epochs in [*stops, 10**9]:
        sinks.append(StopsAfter(epochs))
        try:
            return run_study(experiment, None, [], None, chosen, progress=sinks[-1]).study, sinks
        except Interrupted:
            continue
    raise AssertionError("it never ended")


@pytest.mark.parametrize(
    "fields",
    [
        {"sampler": "tpe", "pruner": "asha"},
        {"sampler": "random", "pruner": "none"},
        {"sampler": "random", "pruner": "median"},
        {"sampler": "tpe", "pruner": "hyperband"},
    ],
    ids=lambda fields: "-".join(fields.values()),
)
def test_a_study_that_was_stopped_anywhere_is_the_one_that_was_not(tmp_path, fields):
    experiment = iris_experiment(epochs=10, **fields)
    whole = run_study(experiment, None, [], None, options(f"sqlite:///{tmp_path}/whole.db")).study
    stops = [1, 7, 2, 19, 11]
    study, sinks = run_with_stops(experiment, options(f"sqlite:///{tmp_path}/stopped.db"), stops)
    assert facts(study) == facts(whole)
    assert len(sinks) == len(stops) + 1
    assert not (tmp_path / "stopped.db.checkpoints").exists()


def test_without_deterministic_a_trial_keeps_its_program_and_its_values(tmp_path):
    experiment = iris_experiment(epochs=12)
    changes = {"deterministic": False, "trials": 8}
    whole = run_study(experiment, None, [], None, options(f"sqlite:///{tmp_path}/whole.db", **changes)).study
    study, sinks = run_with_stops(experiment, options(f"sqlite:///{tmp_path}/stopped.db", **changes), [9, 16])
    assert [trial.state for trial in study.trials] == [trial.state for trial in whole.trials]
    assert [trial.params for trial in study.trials] == [trial.params for trial in whole.trials]
    homes = [[t.user_attrs["tuner:placement"]["caps"] for t in each.trials] for each in (study, whole)]
    same = [trial.values for trial in study.trials] == [trial.values for trial in whole.trials]
    assert same or homes[0] != homes[1]  # where measurements chose another program, values differ by rounding
    told = sum(len(epochs) for sink in sinks for epochs in sink.epochs.values())
    assert told >= 8 * 12


def test_what_a_stopped_study_had_trained_is_not_trained_again(tmp_path):
    experiment = iris_experiment(epochs=30)
    chosen = options(f"sqlite:///{tmp_path}/tuner.db", trials=4)
    with pytest.raises(Interrupted):
        run_study(experiment, None, [], None, chosen, progress=StopsAfter(4 * 20))
    said = []
    result = run_study(experiment, None, [], None, chosen, say=said.append)
    assert "4 trials go on where they were kept" in said
    assert result.trials["complete"] == 4
    epochs = [len(trial.intermediate_values) for trial in result.study.trials]
    assert epochs == [30] * 4
    assert result.cost["occupancy"] == 1.0


def test_a_model_that_changed_starts_its_trials_over(tmp_path, caplog):
    chosen = options(f"sqlite:///{tmp_path}/tuner.db", trials=2)
    with pytest.raises(Interrupted):
        run_study(iris_experiment(epochs=10), None, [], None, chosen, progress=StopsAfter(6))

    def deeper(trial):
        from tests.study.conftest import iris_space

        space = iris_space(trial)
        return space | {"hidden": [*space["hidden"], 3]}

    changed = iris_experiment(epochs=10, search_space=deeper)
    result = run_study(changed, None, [], None, options(f"sqlite:///{tmp_path}/tuner.db", trials=2, allow_changed=True))
    assert result.trials["complete"] == 2
    assert caplog.text.count("starts over") == 2
    whole = run_study(changed, None, [], None, options(f"sqlite:///{tmp_path}/whole.db", trials=2)).study
    assert facts(result.study) == facts(whole)


def test_none_are_kept_where_none_are_wanted(tmp_path):
    chosen = options(f"sqlite:///{tmp_path}/tuner.db", checkpoint_every=0)
    with pytest.raises(Interrupted):
        run_study(iris_experiment(epochs=10), None, [], None, chosen, progress=StopsAfter(6))
    assert [path.name for path in tmp_path.iterdir()] == ["tuner.db"]


# Real kills

EXPERIMENT = """
from tests.study.conftest import iris_experiment
experiment = iris_experiment(epochs=400, pruner="asha", sampler="tpe")
"""


def start(project, *more):
    command = [sys.executable, "-m", "tuner.cli", "run", "iris.py", "--trials", str(TRIALS), "--deterministic"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*command, "--checkpoint-every", "0.1", "--json", *more],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_until_done(project, seed, kills):
    """Run a study, killing its process at random moments of its training; how often it went on from a checkpoint."""
    rng, went_on = random.Random(seed), 0
    for _ in range(kills):
        process = start(project, "--tracking-uri", f"sqlite:///{project}/mlflow.db")
        folder = project / "tuner.db.checkpoints"
        before = newest(folder)
        deadline = time.monotonic() + 60
        while newest(folder) == before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        _, err = process.communicate()
        went_on += "go on where they were kept" in err
    process = start(project, "--tracking-uri", f"sqlite:///{project}/mlflow.db")
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return went_on + ("go on where they were kept" in err), json.loads(out)


def newest(folder):
    return max((int(path.name) for path in folder.glob("*/*") if path.name.isdigit()), default=0)


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_a_study_that_was_killed_anywhere_is_the_one_that_was_not(tmp_path, kills):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "iris.py").write_text(EXPERIMENT)
    went_on, result = kill_until_done(tmp_path, seed=kills, kills=kills)
    assert went_on >= 1
    assert result["trials"]["running"] == result["trials"]["waiting"] == 0
    experiment = iris_experiment(epochs=400, pruner="asha", sampler="tpe")
    whole = tuner.run(
        experiment, trials=TRIALS, storage=f"sqlite:///{tmp_path}/whole.db", tracking_uri=None, deterministic=True
    )
    killed = optuna.load_study(study_name="iris", storage=f"sqlite:///{tmp_path}/tuner.db")
    assert facts(killed) == facts(whole.study)


def test_sigterm_keeps_what_runs_and_leaves_in_time(tmp_path):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "iris.py").write_text(EXPERIMENT.replace("epochs=400", "epochs=20000"))
    process = start(tmp_path, "--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db")
    folder = tmp_path / "tuner.db.checkpoints"
    while not newest(folder) and process.poll() is None:
        time.sleep(0.05)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143, err
    assert time.monotonic() - began < 10
    assert "tuner resume iris" in err
    assert "Traceback" not in err
    found = CheckpointFiles(next(folder.iterdir()), lambda: None).latest()
    assert any(kept.snapshot.epoch for kept in found.trials)
    study = optuna.load_study(study_name="iris", storage=f"sqlite:///{tmp_path}/tuner.db")
    assert not any(trial.state == optuna.trial.TrialState.RUNNING for trial in study.get_trials())


HANGING = """
import time
from tests.study.conftest import iris_experiment, iris_space

def slow(trial):
    if getattr(getattr(trial, "study", None), "study_name", None) == "iris" and trial.number:
        print("hangs", flush=True)
        time.sleep(60)
    return iris_space(trial)

experiment = iris_experiment(epochs=3, search_space=slow)
"""


def test_sigterm_ends_what_does_not_end_by_itself(tmp_path):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "iris.py").write_text(HANGING)
    process = start(tmp_path, "--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db")
    for line in process.stderr:
        if "hangs" in line:
            break
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143
    assert time.monotonic() - began < 10
