"""What half-trained trials cost to keep, and what is done once more after a kill: the digits MLP, in one study.

    python benchmarks/checkpoints.py [--trials 400] [--every 60] [--kills 4]

First the study runs whole, with a checkpoint each ``--every`` seconds (the default interval) and without, in turns:
printed is the loop's own wait for checkpoints as a share of the wall time, that of the writing behind it, and the wall
times. Then it runs without an end and is killed (SIGKILL) at random moments between one and two intervals after its
training began: printed is how old the newest checkpoint was, which is the work that is done once more.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
EXPERIMENT = ROOT / "benchmarks" / "experiments" / "digits_mlp.py"
MANY = 1_000_000


def main() -> None:
    """Measures and prints both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--every", type=float, default=60.0)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        found = cost(Path(folder), arguments.trials, arguments.every, arguments.repeats)
        ages = [age_at_a_kill(Path(folder) / f"killed-{kill}", arguments.every, rng) for kill in range(arguments.kills)]
    print(json.dumps(found | {"ages_at_a_kill": ages, "interval": arguments.every}, indent=1))


def cost(folder: Path, trials: int, every: float, repeats: int) -> dict[str, Any]:
    """Shares of the wall time that checkpoints took, medians, and the wall times with and without."""
    costs = {kept: [] for kept in (every, 0.0)}
    for repeat in range(repeats):
        for kept, found in costs.items():
            found.append(whole(folder / f"{repeat}-{kept}", trials, kept))
    kept = costs[every]
    return {
        "trials": trials,
        "loop_share": statistics.median(each["checkpoint_wait"] / each["wall_seconds"] for each in kept),
        "background_share": statistics.median(each["background"]["checkpoint"] / each["wall_seconds"] for each in kept),
        "wall_with": [each["wall_seconds"] for each in kept],
        "wall_without": [each["wall_seconds"] for each in costs[0.0]],
    }


def whole(folder: Path, trials: int, every: float) -> dict[str, Any]:
    """The cost of a study that runs to its end."""
    process = started(folder, trials, every, "--json")
    out, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"tuner run left with {process.returncode}")
    return json.loads(out)["cost"]


def age_at_a_kill(folder: Path, every: float, rng: random.Random) -> float:
    """Seconds since the state of the newest checkpoint, where a study is killed."""
    process = started(folder, MANY, every)
    kept = folder / "tuner.db.checkpoints"
    while not any(kept.glob("*/*/[0-9]*")) and process.poll() is None:  # one is written as the study begins
        time.sleep(0.1)
    time.sleep(rng.uniform(every, 2 * every))
    process.kill()
    killed = time.time()
    process.communicate()
    newest = max(file.stat().st_mtime for file in kept.glob("*/*/[0-9]*/study.json"))  # the first file that is written
    return killed - newest


def started(folder: Path, trials: int, every: float, *more: str) -> "subprocess.Popen[str]":
    """A study of its own database and MLflow store."""
    folder.mkdir()
    command = [sys.executable, "-m", "tuner.cli", "run", str(EXPERIMENT), "--trials", str(trials)]
    command += ["--checkpoint-every", str(every), "--quiet", *more]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)


if __name__ == "__main__":
    main()
