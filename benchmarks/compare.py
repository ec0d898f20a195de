"""tuner against its peers on one task: the same trials, folds and epochs, no pruning, one command after the other.

    python benchmarks/compare.py TASK [--repeats 3] [--opponents plain,expert] [--peer-trials 12] [--trials N] [--fresh]

TASK is digits-mlp, digits-cnn or mnist-cnn (the last needs `python benchmarks/mnist.py` once). tuner draws the trials
at random and runs them all, cold and with its database and MLflow; the peers run the first of them by number. What
counts is the wall time of whole commands. Each finished command is written to benchmarks/results/TASK.json at once, and
a rerun goes on with what is missing. ``--fresh`` forgets the sides that are named (all of them by default) and measures
them again: `--opponents tuner --fresh` measures tuner alone.
"""

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the files beside this one, whatever is installed

from benchmarks import commands
from benchmarks.mnist import find_mnist
from benchmarks.records import Records
from benchmarks.tasks import TASKS

SIDES = ("tuner", *commands.OPPONENTS)


def main() -> None:
    """Measures what is missing and prints the table."""
    arguments = _arguments()
    task, sides = TASKS[arguments.task], arguments.opponents
    commands.check_environment(sides)
    if task.name == "mnist-cnn":
        _check_mnist()
    heading = {
        "task": task.name,
        "trials": arguments.trials or task.trials,
        "peer_trials": arguments.peer_trials,
        "machine": commands.machine(),
        "versions": commands.versions(),
    }
    path = arguments.results / f"{task.name}.json"
    records = Records(path, heading, sides if arguments.fresh else None)
    for repeat in range(arguments.repeats):
        for side in ("tuner", *(side for side in sides if side != "tuner")):
            _measure(records, side, repeat, heading)
    print("\n" + table(records, heading))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--opponents", type=_sides, default=list(SIDES), help=f"of {', '.join(SIDES)}; all by default")
    parser.add_argument("--peer-trials", type=int, default=12, help="trials that each peer runs")
    parser.add_argument("--trials", type=int, help="trials that tuner runs; the task's own number by default")
    parser.add_argument("--results", type=Path, default=commands.HERE / "results", help="folder of the raw numbers")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured of these opponents")
    return parser.parse_args()


def _sides(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in SIDES]
    if unknown:
        raise argparse.ArgumentTypeError(f"no such opponent: {', '.join(unknown)}; there are {', '.join(SIDES)}")
    return names


def _check_mnist() -> None:
    try:
        find_mnist()
    except FileNotFoundError as error:
        raise SystemExit(str(error)) from None


def _measure(records: Records, side: str, repeat: int, heading: dict[str, Any]) -> None:
    """Runs one command, unless its result is there."""
    if records.get(side, repeat) is not None:
        return
    if side == "tuner":
        record = _measure_tuner(records, heading)
    else:
        run = commands.run_opponent(side, heading["task"], records.shared["params"])
        record = commands.peer_record(run)
    records.add(side, repeat, record)
    print(f"run {repeat + 1}, {side}: {record['per_trial']:.2f} s a trial, mean {record['mean']:.4f}", flush=True)


def _measure_tuner(records: Records, heading: dict[str, Any]) -> dict[str, Any]:
    """A run of tuner; the first one decides the trials that all sides run."""
    file = commands.experiment_file(heading["task"])
    run = commands.run_tuner(file, heading["trials"], "--set", "sampler=random", "--set", "pruner=none")
    params = [trial["params"] for trial in run["trials"][: heading["peer_trials"]]]
    if records.shared.setdefault("params", params) != params:
        raise SystemExit("tuner drew other trials than those that the peers ran; --fresh forgets them")
    return commands.tuner_record(run, heading["peer_trials"])


def table(records: Records, heading: dict[str, Any]) -> str:
    """Medians of the repeats, a line for each side, and where tuner's time went."""
    lines = [
        f"{heading['task']} on {heading['machine']}: {heading['trials']} trials by tuner, the first "
        f"{heading['peer_trials']} of them by each peer; medians of the repeats; mean value of these "
        f"{heading['peer_trials']} trials",
        f"{'':<16}{'repeats':>8}{'s a trial':>11}{'ratio':>8}{'mean value':>12}",
    ]
    base = _median(records, "tuner", "per_trial")
    for side in SIDES:
        if repeats := records.all_of(side):
            seconds = _median(records, side, "per_trial")
            value = _median(records, side, "mean")
            lines.append(f"{side:<16}{len(repeats):>8}{seconds:>11.2f}{seconds / base:>8.1f}{value:>12.4f}")
    return "\n".join([*lines, _cost(records)])


def _cost(records: Records) -> str:
    costs = [run["cost"] for run in records.all_of("tuner")]

    def share(*names: str) -> float:
        return statistics.median(sum(cost[name] for name in names) / cost["wall_seconds"] for cost in costs)

    programs = statistics.median(cost["programs"] for cost in costs)
    occupancy = statistics.median(cost["occupancy"] for cost in costs)
    return (
        f"tuner's cost: compile_wait/wall {share('compile_wait'):.3f}, programs {programs:g}, "
        f"occupancy {occupancy:.3f}, (ask_tell + tracking_wait)/wall {share('ask_tell', 'tracking_wait'):.3f}"
    )


def _median(records: Records, side: str, name: str) -> float:
    return statistics.median(run[name] for run in records.all_of(side))


if __name__ == "__main__":
    main()
