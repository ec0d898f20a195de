"""A study that was stopped or killed ends as one that was not: trials go on from their last checkpoint."""

import math
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest

from tests.study.conftest import facts, iris_experiment
from tuner.experiment import load_experiment
from tuner.study import Interrupted, Options, resume_study
from tuner.study.checkpoints import CheckpointFiles, estate, newest_in
from tuner.study.run import run_study
from tuner.tracking import MemorySink

ROOT = Path(__file__).parents[3]
TRIALS = 14
EXPERIMENT = """
from tests.study.conftest import iris_experiment
experiment = iris_experiment(epochs=400, pruner="asha", sampler="tpe")
"""


class StopsAfter(MemorySink):
    """Presses Ctrl-C after so many epochs, or after so many trials were asked for."""

    def __init__(self, epochs=math.inf, trials=math.inf):
        super().__init__()
        self.left = {"epochs": epochs, "trials": trials}

    def trial_started(self, trial):
        super().trial_started(trial)
        self._count("trials")

    def epoch(self, number, epoch, metrics):
        super().epoch(number, epoch, metrics)
        self._count("epochs")

    def _count(self, what):
        self.left[what] -= 1
        if self.left[what] == 0:
            signal.raise_signal(signal.SIGINT)


def options(storage, **changes):
    defaults = {"trials": TRIALS, "storage": storage, "tracking_uri": None, "parallel_trials": 4, "seed": 5}
    return Options(**{**defaults, "deterministic": True, **changes})


def run_with_stops(experiment, chosen, stops):
    """The study's result, run to its end and stopped by each of these."""
    for stop in stops:
        with pytest.raises(Interrupted):
            run_study(experiment, None, [], None, chosen, progress=stop)
    return run_study(experiment, None, [], None, chosen)


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
def test_a_study_that_was_stopped_anywhere_is_the_one_that_was_not(tmp_path, fields, trained):
    experiment = iris_experiment(epochs=10, test_fraction=0.2, **fields)
    whole = run_study(experiment, None, [], None, options(f"sqlite:///{tmp_path}/whole.db"))
    once = Counter(trained)
    trained.clear()
    stops = [StopsAfter(trials=3), *(StopsAfter(epochs) for epochs in (1, 7, 2, 23)), StopsAfter(trials=2)]
    found = run_with_stops(experiment, options(f"sqlite:///{tmp_path}/stopped.db"), stops)
    assert facts(found.study) == facts(whole.study)
    assert found.best.test == whole.best.test
    assert Counter(trained) == once  # nothing twice, the refit of the best among it
    assert not (tmp_path / "stopped.db.checkpoints").exists()


class Crash(BaseException):
    """Nothing is kept on the way out."""


class Crashes(MemorySink):
    def __init__(self, epochs):
        super().__init__()
        self.left = epochs

    def epoch(self, number, epoch, metrics):
        self.left -= 1
        if self.left == 0:
            raise Crash


@pytest.mark.parametrize("saved", [1, 4, 9])
def test_what_ended_after_the_last_checkpoint_is_done_once_more_in_the_same_order(tmp_path, monkeypatch, saved):
    experiment = iris_experiment(epochs=10, sampler="tpe", pruner="asha")
    whole = run_study(experiment, None, [], None, options(f"sqlite:///{tmp_path}/whole.db", trials=30)).study
    save, calls = CheckpointFiles.save, []

    def at_first(self, checkpoint):
        calls.append(checkpoint)
        if len(calls) <= saved:
            save(self, checkpoint)
            self.wait()

    chosen = options(f"sqlite:///{tmp_path}/crashed.db", trials=30, checkpoint_every=1e-9)
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointFiles, "save", at_first)
        with pytest.raises(Crash):
            run_study(experiment, None, [], None, chosen, progress=Crashes(60))
    ended = optuna.load_study(study_name="iris", storage=chosen.storage).get_trials()
    assert sum(trial.state.is_finished() for trial in ended) > len(calls[saved - 1].ended)
    assert facts(run_study(experiment, None, [], None, chosen).study) == facts(whole)


def test_without_deterministic_a_trial_keeps_its_program_and_its_values(tmp_path):
    experiment = iris_experiment(epochs=12)
    changes = {"deterministic": False, "trials": 8}
    whole = run_study(experiment, None, [], None, options(f"sqlite:///{tmp_path}/whole.db", **changes)).study
    stops = [StopsAfter(9), StopsAfter(16)]
    study = run_with_stops(experiment, options(f"sqlite:///{tmp_path}/stopped.db", **changes), stops).study
    assert [trial.params for trial in study.trials] == [trial.params for trial in whole.trials]
    homes = [[t.user_attrs["tuner:placement"] for t in each.trials] for each in (study, whole)]
    alike = [number for number, (one, other) in enumerate(zip(*homes, strict=True)) if one == other]
    assert alike  # where measurements chose another program, values differ by rounding
    for number in alike:
        assert study.trials[number].intermediate_values == whole.trials[number].intermediate_values


def test_a_trial_that_starts_over_is_trained_by_the_program_that_it_had(tmp_path, caplog):
    experiment, more = iris_experiment(epochs=12), {"deterministic": False, "trials": 4, "checkpoint_every": 0}
    chosen = options(f"sqlite:///{tmp_path}/tuner.db", **more)
    with pytest.raises(Interrupted):
        run_study(experiment, None, [], None, chosen, progress=StopsAfter(4 * 5))
    study = optuna.load_study(study_name="iris", storage=chosen.storage)
    began = [trial.user_attrs["tuner:placement"] for trial in study.trials]
    others = [placement | {"caps": {"hidden.0": 16}, "lanes_together": 1} for placement in began]
    others[2] = began[2] | {"lanes_together": 1, "device": "another"}
    others[3] |= {"caps": {"hidden.0": 1}}
    for trial, placement in zip(study.trials, others, strict=True):
        study._storage.set_trial_user_attr(trial._trial_id, "tuner:placement", placement)
    ended = run_study(experiment, None, [], None, chosen).study
    found = [trial.user_attrs["tuner:placement"] for trial in ended.trials]
    assert found[:2] == others[:2] != began[:2]
    assert found[2] == began[2]  # what another kind of device was given is no measure
    assert found[3] == began[3]  # a cap of 1 fits no trial
    assert "trial 3 starts over" in caplog.text


def test_what_a_stopped_study_had_trained_is_not_trained_again(tmp_path, trained):
    experiment = iris_experiment(epochs=30)
    chosen = options(f"sqlite:///{tmp_path}/tuner.db", trials=4, deterministic=False)
    with pytest.raises(Interrupted):
        run_study(experiment, None, [], None, chosen, progress=StopsAfter(4 * 20))
    before, said = len(trained), []
    result = run_study(experiment, None, [], None, chosen, say=said.append)
    assert "going on from a checkpoint with 4 trials under way" in said
    assert result.trials["complete"] == 4
    assert before >= 4 * 20
    twice = {trial for (trial, _), times in Counter(trained).items() if times > 1}
    assert twice == {result.best.number}  # it was refit
    assert len(trained) == 4 * 30 + 30


def test_an_experiment_that_changed_starts_its_trials_over(tmp_path, trained):
    chosen = options(f"sqlite:///{tmp_path}/tuner.db", trials=2)
    with pytest.raises(Interrupted):
        run_study(iris_experiment(epochs=10), None, [], None, chosen, progress=StopsAfter(18))
    changed, said = iris_experiment(epochs=5, metric="f1"), []
    again = options(f"sqlite:///{tmp_path}/tuner.db", trials=2, allow_changed=True)
    result = run_study(changed, None, [], None, again, say=said.append)
    assert "the experiment is not that of the last checkpoint: what had begun starts over" in said
    whole = run_study(changed, None, [], None, options(f"sqlite:///{tmp_path}/whole.db", trials=2)).study
    assert facts(result.study) == facts(whole)


def test_lanes_that_do_not_fit_start_over(tmp_path, caplog, monkeypatch):
    chosen = options(f"sqlite:///{tmp_path}/tuner.db", trials=2)
    with pytest.raises(Interrupted):
        run_study(iris_experiment(epochs=10), None, [], None, chosen, progress=StopsAfter(6))

    def of_another_version(folder):
        found = newest_in(folder)
        others = [replace(kept, snapshot=replace(kept.snapshot, lanes={"x": np.zeros(3)})) for kept in found.trials]
        return replace(found, trials=others)

    with monkeypatch.context() as patch:
        patch.setattr(estate, "newest_in", of_another_version)
        result = run_study(iris_experiment(epochs=10), None, [], None, chosen)
    assert caplog.text.count("starts over") == 2
    whole = run_study(iris_experiment(epochs=10), None, [], None, options(f"sqlite:///{tmp_path}/whole.db", trials=2))
    assert facts(result.study) == facts(whole.study)


def test_a_study_that_had_no_time_keeps_what_it_had(tmp_path):
    experiment = iris_experiment(epochs=10)
    with pytest.raises(Interrupted):
        run_study(experiment, None, [], None, options(f"sqlite:///{tmp_path}/tuner.db"), progress=StopsAfter(20))
    kept = sorted(path.name for path in tmp_path.glob("tuner.db.checkpoints/*/*/*"))
    run_study(experiment, None, [], None, options(f"sqlite:///{tmp_path}/tuner.db", timeout=1e-9))
    assert sorted(path.name for path in tmp_path.glob("tuner.db.checkpoints/*/*/*")) == kept


def test_a_folder_that_was_chosen_is_remembered_and_stays(tmp_path):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "iris.py").write_text(EXPERIMENT)
    experiment, source = load_experiment(str(tmp_path / "iris.py"))
    chosen = options(f"sqlite:///{tmp_path}/tuner.db", checkpoint_dir=str(tmp_path / "kept"), trials=3)
    with pytest.raises(Interrupted):
        run_study(experiment, source, ["epochs=8"], None, chosen, progress=StopsAfter(5))
    assert list((tmp_path / "kept").iterdir())
    said = []
    resume_study("iris", options(f"sqlite:///{tmp_path}/tuner.db", trials=3, seed=0), say=said.append)
    assert any("going on from a checkpoint" in sentence for sentence in said)
    assert list((tmp_path / "kept").iterdir()) == []


def test_none_are_kept_where_none_are_wanted(tmp_path):
    chosen = options(f"sqlite:///{tmp_path}/tuner.db", checkpoint_every=0)
    with pytest.raises(Interrupted):
        run_study(iris_experiment(epochs=10), None, [], None, chosen, progress=StopsAfter(6))
    assert not list(tmp_path.glob("*checkpoints*"))
