"""What online placement costs, against the offline optimum, on simulated studies: nothing is trained.

    python benchmarks/placement.py                 # prints the table, takes a minute
    python benchmarks/placement.py --record FILE   # writes the recorded traces: TPE on a synthetic objective

Prices are those of the digits MLP on two CPU cores, in CPU-seconds. Ten trials train at once, eight more are asked
ahead. The ratio is that of the seconds to the optimum's, the mean and the largest over the seeds; in brackets programs.
`known`: the prices are known from the start; `foreseen`: 500 trials ahead are known too, as those of a random sampler
are; `measured`: each epoch is measured, with 20 % noise; `nominal`: nothing is measured (--deterministic). `tight`:
always the smallest caps; `declared`: always the declared ones.
"""

import argparse
import itertools
import json
import math
import random
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import optuna
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array, eye_array, hstack

from tuner.lanes.costs import Caps, Costs, Family, Prices
from tuner.lanes.placement import Asked, Placer, place

RECORDED = Path(__file__).parents[1] / "tests" / "lanes" / "placement_traces.json"
COMPILE = 1.2
CAP = 256
EPOCHS = 20
_GAP = 0.005  # of the optimum: what it may be missed by
BATCHES = (16, 32, 64, 128)
LOW, HIGH = math.log(16), math.log(CAP + 1)


class Run(NamedTuple):
    """A trial of a trace: its batch size, which is its family, its widths, the epochs until it ends or is pruned."""

    batch: int
    sizes: tuple[int, ...]
    epochs: int

    @property
    def asked(self) -> Asked:
        """As placement sees it."""
        return Asked(self.batch, self.sizes, (CAP,) * len(self.sizes))


Trace = list[Run]


def entries(caps: Caps) -> int:
    """Kernel entries of an MLP from 64 inputs to 10 outputs."""
    return sum(one * other for one, other in itertools.pairwise((64, *caps, 10)))


def work(_batch: Family, caps: Caps) -> float:
    """Multiply-adds of an epoch: 1150 rows, 5 folds."""
    return entries(caps) * 1150.0 * 5


def true_prices(batch: Family) -> Prices:
    """Seconds an epoch: each step passes over the optimizer's state, each row over the kernels."""
    return Prices(lambda caps: 0.003 + entries(caps) * (1.7e-8 * 1150 / batch + 1.1e-7), lambda _caps: COMPILE)


class KnownCosts(Costs):
    """The true prices, known from the start."""

    def prices(self, family: Family) -> Prices:
        """The prices, whatever was measured."""
        return true_prices(family)


# Traces


def drawn(count: int, seed: int, *, widths: int = 2, batches: Iterable[int] = BATCHES, pruned: bool = False) -> Trace:
    """Trials in random order, as a random sampler asks them."""
    rng, choices = random.Random(seed), list(batches)

    def run() -> Run:
        sizes = tuple(int(math.exp(rng.uniform(LOW, HIGH))) for _ in range(widths))
        return Run(rng.choice(choices), sizes, halved(rng) if pruned else EPOCHS)

    return [run() for _ in range(count)]


def halved(rng: random.Random) -> int:
    """Epochs of a trial under successive halving by three."""
    return next((epochs for epochs in (1, 3, 9) if rng.random() < 2 / 3), EPOCHS)


def concentrating(count: int, seed: int) -> Trace:
    """Trials that close in on one point and one batch size, as a sampler that learns asks them."""
    rng, (target,) = random.Random(seed), drawn(1, seed + 1000)

    def run(index: int) -> Run:
        (fresh,) = drawn(1, rng.randrange(1 << 30))
        if index < 10 or rng.random() < 0.15:
            return fresh
        spread = max(0.15, 1.5 * (1 - index / count))
        sizes = (int(size * math.exp(rng.gauss(0, spread))) for size in target.sizes)
        batch = target.batch if rng.random() < 0.75 else fresh.batch
        return Run(batch, tuple(min(CAP, max(16, size)) for size in sizes), EPOCHS)

    return [run(index) for index in range(count)]


def recorded(file: Path) -> dict[str, Trace]:
    """The traces in a file."""
    stored = json.loads(file.read_text())
    return {name: [Run(batch, tuple(sizes), epochs) for batch, sizes, epochs in rows] for name, rows in stored.items()}


def record(*, pruned: bool) -> Trace:
    """Optuna's TPE, ten trials at a time, on an objective whose optimum lies at widths of 150 and 60 and batch 32."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study, rng, trace = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0)), random.Random(0), []
    for _ in range(10):
        for trial in [study.ask() for _ in range(10)]:
            sizes = tuple(trial.suggest_int(f"hidden_{index}", 16, CAP, log=True) for index in range(2))
            batch = trial.suggest_categorical("batch_size", BATCHES)
            away = [math.log(size / best) for size, best in zip((*sizes, batch), (150, 60, 32), strict=True)]
            trace.append(Run(batch, sizes, halved(rng) if pruned else EPOCHS))
            study.tell(trial, math.hypot(*away) + rng.gauss(0, 0.2))
    return trace


# Online and offline


def online(
    trace: Trace, costs: Costs, *, slots: int = 10, ahead: int = 8, noise: float | None = None
) -> tuple[float, int]:
    """Seconds and programs of the trace under online placement.

    Args:
        trace: the trials, in the order in which they are asked.
        costs: what placement believes.
        slots: trials at once.
        ahead: trials asked and waiting.
        noise: standard deviation of the logarithm of measured seconds; None: nothing is measured.
    """
    placer, rng, spent, queue = Placer(costs, EPOCHS), random.Random(0), 0.0, list(trace)
    seated: list[tuple[Run, Caps, int]] = []
    while queue or seated:
        while queue and len(seated) < slots:
            waiting = [run.asked for run in queue[1 : slots - len(seated) + ahead]]
            run = queue.pop(0)
            decision = placer.place(run.asked, waiting)
            spent += COMPILE * decision.opens
            seated.append((run, decision.caps, run.epochs))
        for run, caps, left in seated:
            took = true_prices(run.batch).epoch(caps)
            spent += took
            placer.ran(run.asked)
            if noise is not None:
                costs.observe(run.batch, caps, took * math.exp(rng.gauss(0, noise)))
            if left == 1:
                placer.ended(run.epochs)
        seated = [(run, caps, left - 1) for run, caps, left in seated if left > 1]
    return spent, sum(map(len, placer.opened.values()))


def always(trace: Trace, caps_of: Callable[[Asked], Caps]) -> tuple[float, int]:
    """Seconds and programs where caps follow from the trial alone."""
    programs = {(run.batch, caps_of(run.asked)) for run in trace}
    epochs = sum(run.epochs * true_prices(run.batch).epoch(caps_of(run.asked)) for run in trace)
    return epochs + COMPILE * len(programs), len(programs)


def offline(trace: Trace) -> tuple[float, int]:
    """Seconds and programs of the best placement in hindsight, for each family by itself."""
    families: dict[int, Counter[Caps]] = {}
    for run in trace:
        families.setdefault(run.batch, Counter())[run.asked.tight] += run.epochs
    best = [optimum(demand, true_prices(batch)) for batch, demand in families.items()]
    return sum(seconds for seconds, _ in best), sum(programs for _, programs in best)


def optimum(demand: Mapping[Caps, float], prices: Prices) -> tuple[float, int]:
    """Facility location as a mixed-integer program: a variable for each program, one for each (demand, program).

    It is solved to half a percent.
    """
    wanted = sorted(demand)
    steps = [sorted(set(column)) for column in zip(*wanted, strict=True)]  # other caps serve nobody better
    caps = list(itertools.product(*steps))
    fits = np.all(np.array(wanted)[:, None] <= np.array(caps)[None], axis=-1)
    rows, columns = np.nonzero(fits)
    served = coo_array((np.ones(len(rows)), (rows, np.arange(len(rows)))), shape=(len(wanted), len(rows)))
    choose = coo_array((np.ones(len(rows)), (np.arange(len(rows)), columns)), shape=(len(rows), len(caps)))
    cost = [demand[wanted[row]] * prices.epoch(caps[column]) for row, column in zip(rows, columns, strict=True)]
    constraints = [
        LinearConstraint(hstack([served, coo_array((len(wanted), len(caps)))]), 1, 1),
        LinearConstraint(hstack([eye_array(len(rows)), -choose]), -np.inf, 0),
    ]
    whole = np.r_[np.zeros(len(rows)), np.ones(len(caps))]
    found = milp(
        [*cost, *map(prices.compile, caps)],
        integrality=whole,
        bounds=Bounds(0, 1),
        constraints=constraints,
        options={"mip_rel_gap": _GAP},
    )
    return float(found.fun), round(sum(found.x[len(rows) :]))


def nested(largest: int = 256) -> tuple[float, float, int]:
    """A trace that shows the rule worse than twice the optimum: online and optimal seconds, and the trials.

    An epoch costs the square of the caps' product, a compile 1. At each level small trials, and such that are half as
    large as the last program in one width, come until a program of half the caps opens; none of them needs its corner.
    """
    prices = Prices(lambda caps: (math.prod(caps) / largest**2) ** 2, lambda _caps: 1.0)
    opened: set[Caps] = set()
    demand: Counter[Caps] = Counter()
    spent, trials, level = 0.0, 0, largest

    def ask(tight: Caps, epochs: float) -> None:
        nonlocal spent, trials
        demand[tight] += epochs
        decision = place(tight, (largest, largest), opened, demand, prices)
        spent += decision.opens + epochs * prices.epoch(decision.caps)
        opened.add(decision.caps)
        trials += 1

    ask((largest, largest), 0.1)
    while level > 1:
        programs, epochs = len(opened), 0.1 / min(map(prices.epoch, opened))
        for tight in itertools.cycle([(1, 1), (level // 2, 1), (1, level // 2)]):
            ask(tight, epochs)
            if len(opened) > programs:
                break
        level //= 2
    return spent, optimum(demand, prices)[0], trials


# The table


def traces(seeds: int) -> dict[str, list[Trace]]:
    """Each kind of trace, some seeds of it."""
    few, many = range(seeds), range(2)
    hundred = [drawn(100, seed) for seed in few]
    return {
        "20 trials": [drawn(20, seed) for seed in few],
        "100 trials": hundred,
        "100 trials, halving": [drawn(100, seed, pruned=True) for seed in few],
        "40 trials, one width, 3 batch sizes": [drawn(40, seed, widths=1, batches=(32, 64, 128)) for seed in few],
        "1,000 trials": [drawn(1000, seed) for seed in many],
        "2,000 trials": [drawn(2000, seed) for seed in many],
        "2,000 trials, halving": [drawn(2000, seed, pruned=True) for seed in many],
        "100 trials that concentrate": [concentrating(100, seed) for seed in few],
        "1,000 trials that concentrate": [concentrating(1000, seed) for seed in many],
        "100 trials, small first": [sorted(trace, key=lambda run: run.sizes) for trace in hundred],
        "100 trials, large first": [sorted(trace, key=lambda run: run.sizes, reverse=True) for trace in hundred],
        **{f"recorded: {name}": [trace] for name, trace in recorded(RECORDED).items()},
    }


def compare(kind: list[Trace]) -> dict[str, str]:
    """The cells of one row."""
    best = [offline(trace) for trace in kind]
    ways: dict[str, Callable[[Trace], tuple[float, int]]] = {
        "foreseen": lambda trace: online(trace, KnownCosts(work), ahead=500),
        "known": lambda trace: online(trace, KnownCosts(work)),
        "measured": lambda trace: online(trace, Costs(work), noise=0.2),
        "nominal": lambda trace: online(trace, Costs(work)),
        "one at a time": lambda trace: online(trace, KnownCosts(work), slots=1, ahead=0),
        "tight": lambda trace: always(trace, lambda asked: asked.tight),
        "declared": lambda trace: always(trace, lambda asked: asked.declared),
    }
    means = [statistics.mean(column) for column in zip(*best, strict=True)]
    cells = {"optimum": f"{means[0]:.0f} s ({means[1]:.0f})"}
    for name, way in ways.items():
        found = [way(trace) for trace in kind]
        ratios = [seconds / least for (seconds, _), (least, _) in zip(found, best, strict=True)]
        programs = statistics.mean(programs for _, programs in found)
        cells[name] = f"{statistics.mean(ratios):.2f}, {max(ratios):.2f} ({programs:.0f})"
    return cells


def main() -> None:
    """Print the table, or write the recorded traces."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--record", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.record:
        stored = {"TPE": record(pruned=False), "TPE, halving": record(pruned=True)}
        arguments.record.write_text(json.dumps(stored, separators=(",", ":")) + "\n")
        return
    for name, kind in traces(arguments.seeds).items():
        cells = compare(kind)
        if name == "20 trials":
            print(f"| trace | {' | '.join(cells)} |\n|{'---|' * (len(cells) + 1)}")
        print(f"| {name} | {' | '.join(cells.values())} |", flush=True)
    spent, least, trials = nested()
    print(f"nested caps: {trials} trials, {spent:.2f} online, {least:.2f} at best, ratio {spent / least:.2f}")


if __name__ == "__main__":
    main()
