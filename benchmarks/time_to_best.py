"""Time until a value as good as the best that plain Optuna finds: its default TPE, 100 trials of the digits MLP.

    python benchmarks/time_to_best.py [--seeds 0,1,2] [--plain-trials 100] [--tuner-trials 400] [--fresh]

Both sides choose their trials themselves: tuner with its defaults (TPE and asha), and without a pruner in half as many
trials; plain Optuna without a pruner. What counts is the time from the start of the whole command to the end of the
first complete trial of at least that value.
Each finished command is written to benchmarks/results/time_to_best.json at once, and a rerun goes on with what is
missing. A seed takes plain Optuna a quarter of an hour; JAX's caches are cleared for it every 25 trials, without which
it does not live to its hundredth.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the files beside this one, whatever is installed

from benchmarks import commands
from benchmarks.records import Records

TASK = "digits-mlp"


def main() -> None:
    """Measures what is missing and prints a line for each seed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--plain-trials", type=int, default=100)
    parser.add_argument("--tuner-trials", type=int, default=400)
    parser.add_argument("--results", type=Path, default=commands.HERE / "results", help="folder of the raw numbers")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured")
    arguments = parser.parse_args()
    commands.check_environment([])
    heading = {
        "task": TASK,
        "plain_trials": arguments.plain_trials,
        "tuner_trials": arguments.tuner_trials,
        "machine": commands.machine(),
        "versions": commands.versions(),
    }
    forgotten = ["plain", "tuner", "unpruned"] if arguments.fresh else None
    records = Records(arguments.results / "time_to_best.json", heading, forgotten)
    print("seed    value  plain, s   asha, s  ratio  no pruner, s  ratio", flush=True)
    for seed in arguments.seeds:
        plain = records.get("plain", seed) or _plain(records, seed, arguments.plain_trials)
        asha = records.get("tuner", seed) or _tuner(records, "tuner", seed, arguments.tuner_trials)
        unpruned = records.get("unpruned", seed) or _tuner(
            records, "unpruned", seed, arguments.tuner_trials // 2, "--set", "pruner=none"
        )
        print(line(seed, plain, asha, unpruned), flush=True)


def _plain(records: Records, seed: int, trials: int) -> dict[str, Any]:
    # what it compiled is never dropped; after some 80 trials that fills the memory maps that Linux allows a process
    clearing = ("--clear-every", "25")
    run = commands.run_opponent("plain", TASK, [], "--seed", str(seed), "--trials", str(trials), *clearing)
    return _record(records, "plain", seed, run)


def _tuner(records: Records, side: str, seed: int, trials: int, *options: str) -> dict[str, Any]:
    run = commands.run_tuner(commands.experiment_file(TASK), trials, "--seed", str(seed), *options)
    return _record(records, side, seed, run)


def _record(records: Records, side: str, seed: int, run: dict[str, Any]) -> dict[str, Any]:
    """Keeps the command's seconds, its number of trials, and each new best value with the second when it was there."""
    complete = [trial for trial in run["trials"] if trial["value"] is not None]
    steps: list[list[float]] = []
    for trial in sorted(complete, key=lambda trial: trial["ended"]):
        if not steps or trial["value"] > steps[-1][1]:
            steps.append([trial["ended"] - run["started"], trial["value"]])
    result = {"seconds": run["seconds"], "trials": len(run["trials"]), "complete": len(complete), "best": steps}
    records.add(side, seed, result)
    return records.get(side, seed) or result


def line(seed: int, plain: dict[str, Any], asha: dict[str, Any], unpruned: dict[str, Any]) -> str:
    """A seed's times to plain Optuna's best value; where a study never reached it, more than its whole run."""
    seconds, target = plain["best"][-1]
    row = f"{seed:>4}{target:>9.4f}{seconds:>10.1f}"
    for run, width in ((asha, 10), (unpruned, 14)):
        reached = next((second for second, value in run["best"] if value >= target), None)
        shown = f"> {run['seconds']:.1f}" if reached is None else f"{reached:.1f}"
        row += f"{shown:>{width}}{'-' if reached is None else f'{seconds / reached:.1f}':>7}"
    return row


if __name__ == "__main__":
    main()
