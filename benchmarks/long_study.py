"""A long study in one process: whether trials, memory and the sampler stay as fast and as small as they were.

    python benchmarks/long_study.py [--trials 2000] [--sampler random|tpe] [--results FOLDER]

Scikit-learn's iris on an MLP with one elastic width, 3 folds x 5 epochs, no pruning; with a database, without MLflow.
Of 2000 trials the last 200 are compared with the second 200, which are past the compilers; of fewer the last tenth with
the second, in whole hundreds. A sample for each hundred goes to benchmarks/results/long-study-SAMPLER.json. Needs
psutil.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the files beside this one, whatever is installed

from benchmarks import commands
from benchmarks.records import Records

SAMPLES = 100  # trials from one sample to the next


def main() -> None:
    """Runs the study in a process of its own and prints what became of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--sampler", choices=("random", "tpe"), default="random")
    parser.add_argument("--results", type=Path, default=commands.HERE / "results", help="folder of the raw numbers")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)  # the process that is measured
    arguments = parser.parse_args()
    if arguments.trials < 3 * SAMPLES:
        parser.error(f"--trials {arguments.trials}: at least {3 * SAMPLES}, or there is nothing to compare")
    if arguments.inside:
        print(json.dumps(long_study(arguments.trials, arguments.sampler, Path.cwd())))
        return
    run = measure(arguments.trials, arguments.sampler)
    heading = {"trials": arguments.trials, "machine": commands.machine(), "versions": commands.versions()}
    records = Records(arguments.results / f"long-study-{arguments.sampler}.json", heading, [arguments.sampler])
    records.add(arguments.sampler, "long study", run)
    print(table(run))


def measure(trials: int, sampler: str) -> dict[str, Any]:
    """The samples and the cost of a study that runs in a process of its own, with nothing compiled before."""
    with tempfile.TemporaryDirectory() as folder:
        words = ("--inside", "--trials", str(trials), "--sampler", sampler)
        _, seconds, output = commands.timed((sys.executable, __file__, *words), Path(folder))
    run: dict[str, Any] = json.loads(output)
    return run | {"seconds": seconds}


def long_study(trials: int, sampler: str, folder: Path, every: int = SAMPLES) -> dict[str, Any]:
    """The study itself, in this process.

    Args:
        trials: of the study.
        sampler: its name.
        folder: of its database.
        every: how many trials end from one sample to the next.
    """
    import optuna

    from tuner.study import Options, run_study

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    clock = _Clock()
    watch = _watch(every, clock)
    options = Options(trials=trials, storage=f"sqlite:///{folder}/tuner.db", tracking_uri=None)
    result = run_study(experiment(_timed_sampler(sampler, clock)), None, [], None, options, progress=watch)
    if result.trials["complete"] != trials:
        raise SystemExit(f"not all trials are complete: {result.trials}")
    cost = {name: value for name, value in result.cost.items() if name != "compiled"}
    samples = _with_seconds(watch.samples, result.study)
    return {"sampler": sampler, "samples": samples, "cost": cost}


def experiment(sampler: Any) -> Any:
    """The study's experiment, by this sampler."""
    from tuner import Experiment, Width, datasets, models

    def space(trial: Any) -> dict[str, Any]:
        return {
            "hidden": [Width(trial.suggest_int("hidden", 4, 64, log=True), cap=64)],
            "learning_rate": trial.suggest_float("learning_rate", 1e-3, 1e-1, log=True),
            "batch_size": trial.suggest_categorical("batch_size", [16, 32]),
            "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        }

    return Experiment(
        name="long-study",
        data=datasets.iris,
        model=models.MLP,
        search_space=space,
        metric="accuracy",
        folds=3,
        epochs=5,
        sampler=sampler,
        pruner="none",
    )


class _Clock:
    """Adds up the seconds of what it times; what is called inside another such call counts once."""

    def __init__(self) -> None:
        self.seconds, self._depth = 0.0, 0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed."""

        def call(*arguments: Any) -> Any:
            began, self._depth = time.perf_counter(), self._depth + 1
            try:
                return function(*arguments)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.seconds += time.perf_counter() - began

        return call


def _timed_sampler(name: str, clock: _Clock) -> Any:
    """Optuna's sampler as tuner makes it, its own methods timed: the cost only knows their sum over the study."""
    from tuner.study.samplers import make_sampler

    sampler = make_sampler(name, 0, {})
    for method in (
        "infer_relative_search_space",
        "sample_relative",
        "sample_independent",
        "before_trial",
        "after_trial",
    ):
        setattr(sampler, method, clock.timed(getattr(sampler, method)))
    return sampler


def _watch(every: int, clock: _Clock) -> Any:
    """A sink that takes a sample whenever so many trials have ended."""
    import jax
    import psutil

    from tuner.tracking import NullSink

    class Watch(NullSink):
        def __init__(self) -> None:
            self.samples: list[dict[str, Any]] = []
            self._process, self._ended = psutil.Process(), 0

        def trial_ended(self, trial: Any) -> None:
            del trial
            self._ended += 1
            if self._ended % every == 0:
                mib, arrays = self._process.memory_info().rss / 2**20, len(jax.live_arrays())
                self.samples.append({"trials": self._ended, "sampling": clock.seconds, "mib": mib, "arrays": arrays})

    return Watch()


def _with_seconds(samples: list[dict[str, Any]], study: Any) -> list[dict[str, Any]]:
    """The samples with the time from the first trial's start to each sample's last trial, as the database has it."""
    trials = study.get_trials(deepcopy=False)
    began, ended = trials[0].datetime_start, sorted(trial.datetime_complete for trial in trials)
    return [sample | {"seconds": (ended[sample["trials"] - 1] - began).total_seconds()} for sample in samples]


def window(samples: list[dict[str, Any]]) -> int:
    """Trials that are compared: a tenth of them, in whole samples."""
    step = samples[0]["trials"]
    return max(samples[-1]["trials"] // 10 // step, 1) * step


def growth(samples: list[dict[str, Any]], name: str) -> float:
    """What the last window of trials took over what the second one took, of a sum such as ``seconds``."""
    sums, width, total = {s["trials"]: s[name] for s in samples}, window(samples), samples[-1]["trials"]
    return (sums[total] - sums[total - width]) / (sums[2 * width] - sums[width])


def rise(samples: list[dict[str, Any]], name: str) -> float:
    """What there is at the end over what there was after the first window of trials, of an amount such as ``mib``."""
    return samples[-1][name] / {s["trials"]: s[name] for s in samples}[window(samples)]


def table(run: dict[str, Any]) -> str:
    """A study's samples compared, a line each."""
    samples, cost = run["samples"], run["cost"]
    width, total = window(samples), samples[-1]["trials"]
    arrays = [sample["arrays"] for sample in samples]
    later, early = f"trials {total - width} to {total}", f"{width} to {2 * width}"
    return "\n".join(
        [
            f"{total} trials by {run['sampler']}: {run['seconds']:.1f} s, {cost['programs']} programs, "
            f"sampling {cost['sampling'] / cost['wall_seconds']:.0%} of the wall time",
            f"seconds of {later} over {early}: {growth(samples, 'seconds'):.2f}",
            f"the sampler's own: {growth(samples, 'sampling'):.2f}",
            f"memory at the end over {width} trials: {rise(samples, 'mib'):.2f} ({samples[-1]['mib']:.0f} MiB)",
            f"arrays that JAX holds: {arrays[0]} at first, {max(arrays)} at most, {arrays[-1]} at the end",
        ]
    )


if __name__ == "__main__":
    main()
