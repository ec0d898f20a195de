"""The commands that are measured: tuner's and the peers', each as a whole, and what they leave behind."""

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna

HERE = Path(__file__).parent
ROOT = HERE.parent

OPPONENTS = {
    "plain": ("plain.py",),
    "one-optimizer": ("plain.py", "--one-optimizer"),
    "processes": ("processes.py",),
    "expert": ("expert.py",),
    "ray": ("ray_tune.py",),
    "keras": ("keras_cv.py",),
}
"""Each peer's command; a file called ray.py or keras.py would hide the package of that name."""

_LIBRARIES = (
    "tuner",
    "jax",
    "flax",
    "optax",
    "optuna",
    "mlflow",
    "numpy",
    "scikit-learn",
    "ray",
    "keras",
    "keras-tuner",
)
_CPU = Path("/proc/cpuinfo")
_GPUS = Path("/proc/driver/nvidia/gpus")


def check_environment(opponents: Sequence[str]) -> None:
    """Ends with one message where something is missing, or where nothing would be cold."""
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        raise SystemExit("JAX_COMPILATION_CACHE_DIR is set: unset it, all sides are measured cold")
    missing = [name for name in ("ray", "keras", "keras-tuner") if name not in versions()]
    if missing and {"ray", "keras"} & set(opponents):
        raise SystemExit(f"not installed: {', '.join(missing)}. pip install -c constraints.txt -e '.[benchmark]'")


def versions() -> dict[str, str]:
    """Versions of the libraries that are installed."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def machine() -> str:
    """What this is measured on."""
    processor = _lines(_CPU, "model name")[:1] or [platform.machine()]
    gpus = [model for file in sorted(_GPUS.glob("*/information")) for model in _lines(file, "Model")]
    return ", ".join([*processor, f"{os.cpu_count()} cores", *gpus])


def experiment_file(task: str) -> Path:
    """The experiment that is tuner's side of a task."""
    return HERE / "experiments" / f"{task.replace('-', '_')}.py"


def run_tuner(experiment: Path, trials: int, *options: str) -> dict[str, Any]:
    """A study by tuner's command line, cold: its wall seconds, result, and Optuna's trials as plain data."""
    with tempfile.TemporaryDirectory() as folder:
        storage = f"sqlite:///{folder}/tuner.db"
        where = ("--storage", storage, "--tracking-uri", f"sqlite:///{folder}/mlflow.db", "--quiet", "--json")
        command = (sys.executable, "-m", "tuner.cli", "run", str(experiment), "--trials", str(trials), *options, *where)
        started, seconds, output = timed(command, Path(folder))
        result = json.loads(output)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.load_study(study_name=result["study"], storage=storage)
        return {"started": started, "seconds": seconds, "result": result, "trials": [_plain(t) for t in study.trials]}


def run_opponent(name: str, task: str, params: list[dict[str, Any]], *options: str) -> dict[str, Any]:
    """The given trials by a peer's command: its wall seconds and what it wrote of them."""
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder) / "params.json", Path(folder) / "out.json"
        given.write_text(json.dumps(params))
        file, *own = OPPONENTS[name]
        known = ("--params", str(given)) if params else ()
        command = (sys.executable, str(HERE / "opponents" / file), "--task", task, "--out", str(out), *known, *own)
        started, seconds, _ = timed((*command, *options), Path(folder))
        written = json.loads(out.read_text())
    if params and [trial["params"] for trial in written["trials"]] != params:
        raise SystemExit(f"{name} did not run the trials that it was given")
    return written | {"started": started, "seconds": seconds}


def timed(command: Sequence[str], folder: Path) -> tuple[float, float, str]:
    """Runs a command: the time of day when it started, its wall seconds, and what it printed on stdout."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "TUNER_CACHE_DIR": str(folder / "cache")}
    started, began = time.time(), time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"failed: {' '.join(command)}\n{(done.stderr or done.stdout)[-2000:]}")
    return started, seconds, done.stdout


def tuner_record(run: dict[str, Any], peer_trials: int) -> dict[str, Any]:
    """What is kept of a run of tuner: the cost as it says itself, the values of the trials that the peers run too."""
    values = [trial["value"] for trial in run["trials"]]
    if None in values:
        raise SystemExit(f"tuner: not all trials are complete: {run['result']['trials']}")
    return peer_record(run | {"trials": run["trials"][:peer_trials]}) | {
        "per_trial": run["seconds"] / len(values),
        "trials": len(values),
        "mean_of_all": statistics.mean(values),
        "best": max(values),
        "cost": run["result"]["cost"],
    }


def peer_record(run: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a peer's run: nothing per epoch."""
    values = [trial["value"] for trial in run["trials"]]
    kept = {name: run[name] for name in ("seconds", "import_seconds") if name in run}
    return kept | {
        "per_trial": run["seconds"] / len(values),
        "trials": len(values),
        "mean": statistics.mean(values),
        "values": values,
    }


def _plain(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    ended = trial.datetime_complete.timestamp() if trial.datetime_complete else None
    value = trial.value if trial.state == optuna.trial.TrialState.COMPLETE else None
    return {"params": trial.params, "value": value, "ended": ended}


def _lines(file: Path, name: str) -> list[str]:
    """The values of all lines ``name: value`` of a file; none where there is no such file."""
    lines = file.read_text().splitlines() if file.is_file() else []
    return [line.partition(":")[2].strip() for line in lines if line.startswith(name)]
