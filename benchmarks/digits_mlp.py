"""Lanes against a plain Optuna and Flax NNX objective, on the same trials of the digits MLP.

    python benchmarks/digits_mlp.py [--trials 40] [--repeats 3] [--plain-trials 40]

Both sides get the same hyperparameters (drawn at random from the search space of experiments/digits_mlp.py), folds,
epochs, schedule and no pruning. The plain side runs twice: as written, and with one optimizer for the folds of a trial,
which saves it four of five compiles. Each runs as a command of its own, from start to end, one after the other; the
ratio is that of the seconds a trial, the median over the repeats. tuner also writes its database and MLflow, the plain
side nothing.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import optuna

HERE = Path(__file__).parent
ROOT = HERE.parent
EXPERIMENT = ROOT / "experiments" / "digits_mlp.py"


def main() -> None:
    """Run both sides and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--plain-trials", type=int, help="run the plain side on the first of them only")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="where the raw numbers go, as JSON")
    arguments = parser.parse_args()
    plain_trials = arguments.plain_trials or arguments.trials
    runs = []
    for repeat in range(arguments.repeats):
        with tempfile.TemporaryDirectory() as folder:
            lanes = run_lanes(Path(folder), arguments.trials)
            parameters = lanes.pop("parameters")
            plain = run_plain(Path(folder), parameters[:plain_trials])
            shared = run_plain(Path(folder), parameters[:plain_trials], "--one-optimizer")
        runs.append({"lanes": lanes, "plain": plain, "plain, one optimizer a trial": shared})
        print(f"run {repeat + 1}: {describe(runs[-1])}", flush=True)
    ratio = {name: median_ratio(runs, name) for name in list(runs[0])[1:]}
    for name, value in ratio.items():
        print(f"median of {len(runs)}: {name} takes {value:.1f} times as long a trial as lanes")
    if arguments.out:
        arguments.out.write_text(json.dumps({"machine": machine(), "ratio": ratio, "runs": runs}, indent=1) + "\n")


def run_lanes(folder: Path, trials: int) -> dict:
    """The study by tuner's command line, cold, and the parameters that its trials had."""
    storage = f"sqlite:///{folder}/tuner.db"
    options = ["--trials", str(trials), "--set", "pruner=none", "--set", "sampler=random", "--quiet", "--json"]
    where = ["--storage", storage, "--tracking-uri", f"sqlite:///{folder}/mlflow.db"]
    seconds, output = timed([sys.executable, "-m", "tuner.cli", "run", str(EXPERIMENT), *options, *where], folder)
    result = json.loads(output)
    study = optuna.load_study(study_name=result["study"], storage=storage)
    return {
        "seconds": seconds,
        "per_trial": seconds / trials,
        "best": result["best"]["value"],
        "mean": statistics.mean(trial.value for trial in study.trials),
        "cost": result["cost"],
        "parameters": [trial.params for trial in study.trials],
    }


def run_plain(folder: Path, parameters: list[dict], *options: str) -> dict:
    """The same trials by the plain objective."""
    given, out = folder / "parameters.json", folder / "plain.json"
    given.write_text(json.dumps(parameters))
    script = HERE / "plain_digits_mlp.py"
    seconds, _ = timed([sys.executable, str(script), "--params", str(given), "--out", str(out), *options], folder)
    values = [trial["value"] for trial in json.loads(out.read_text())["trials"]]
    return {
        "seconds": seconds,
        "per_trial": seconds / len(parameters),
        "best": max(values),
        "mean": statistics.mean(values),
    }


def timed(command: list[str], folder: Path) -> tuple[float, str]:
    """Wall seconds of a command, and what it printed on stdout."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return time.perf_counter() - began, done.stdout


def median_ratio(runs: list[dict], name: str) -> float:
    """Seconds a trial of this side over those of the lanes, the median of the runs."""
    return statistics.median(run[name]["per_trial"] / run["lanes"]["per_trial"] for run in runs)


def describe(run: dict) -> str:
    """One run in words."""
    return ", ".join(
        f"{name} {side['per_trial']:.2f} s a trial (mean value {side['mean']:.4f})" for name, side in run.items()
    )


def machine() -> str:
    """What this was measured on."""
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
