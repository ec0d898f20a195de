"""What epochs and compiles cost: measured, estimated, or nominal. Plain data."""

import functools
import itertools
import statistics
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import NamedTuple

Family = Hashable
Caps = tuple[int, ...]

MEASUREMENTS = 9  # of a program, the latest; their median counts
PROGRAMS = 64  # the line through all programs is fitted to so many


class Nominal(NamedTuple):
    """What is reckoned with until something was measured, from the digits MLP.

    overhead: seconds an epoch of a trial, all folds. rate: multiply-adds of forward passes a second. compile: seconds.
    launch: seconds that a step of a training takes where there is next to nothing to compute.
    """

    overhead: float
    rate: float
    compile: float
    launch: float


ON_CPU = Nominal(overhead=0.003, rate=1e10, compile=1.8, launch=0.0)  # two cores
ON_ACCELERATOR = Nominal(overhead=0.0003, rate=1.2e12, compile=4.0, launch=1e-4)  # one H200


class Prices(NamedTuple):
    """Seconds for one epoch of a trial in a program of given caps, and seconds until a program of given caps runs.

    stored: caps of programs that an earlier study has left, which run sooner.
    """

    epoch: Callable[[Caps], float]
    compile: Callable[[Caps], float]
    stored: Collection[Caps] = ()


def places(slots: int, steps: int, work: float, nominal: Nominal) -> int:
    """Trials that a chunk holds: as many as can be computed while their steps are launched, which is the same for all.

    On a device that launches at no cost a chunk holds one trial: an idle place costs what a busy one does.

    Args:
        slots: trials at once at most.
        steps: of an epoch.
        work: multiply-adds of an epoch of one trial.
        nominal: of the device.
    """
    return max(1, min(slots, int(nominal.launch * steps * nominal.rate / max(work, 1.0))))


def fit(points: Sequence[tuple[float, float]], nominal: Nominal = ON_CPU) -> tuple[float, float]:
    """The line through (multiply-adds, seconds): its seconds at 0, and a multiply-add.

    The median of the slopes between all pairs (Theil 1950, Sen 1968): up to 29 % of the points may be far off. Without
    a rising slope it is the nominal line, scaled by the median ratio.
    """
    pairs = itertools.combinations(points, 2)
    slopes = [(second[1] - first[1]) / (second[0] - first[0]) for first, second in pairs if first[0] != second[0]]
    slope = statistics.median(slopes) if slopes else 0.0
    if slope > 0:
        return max(0.0, statistics.median(seconds - slope * work for work, seconds in points)), slope
    ratio = statistics.median([seconds / (nominal.overhead + work / nominal.rate) for work, seconds in points] or [1.0])
    return ratio * nominal.overhead, ratio / nominal.rate


class Costs:
    """What epochs and compiles cost: measured where a program has run, else estimated. Nominal before any measurement.

    Args:
        work: multiply-adds of an epoch of one trial of a family at given caps, all folds; asked once for each.
        compile_seconds: until a program of a family and caps runs; about 0 where it is stored.
        stored: caps of the programs of a family that are stored.
        nominal: what holds before any measurement.
    """

    def __init__(
        self,
        work: Callable[[Family, Caps], float],
        compile_seconds: Callable[[Family, Caps], float] = lambda _family, _caps: ON_CPU.compile,
        stored: Callable[[Family], Collection[Caps]] = lambda _family: (),
        nominal: Nominal = ON_CPU,
    ) -> None:
        self._work, self._compile, self._stored, self._nominal = functools.cache(work), compile_seconds, stored, nominal
        self._measured: defaultdict[Family, dict[Caps, deque[float]]] = defaultdict(dict)
        self._line: tuple[float, float] | None = None

    def observe(self, family: Family, caps: Caps, seconds: float) -> None:
        """An epoch of a chunk took so long for each place in it. Never called where no measurement may decide."""
        self._measured[family].setdefault(caps, deque(maxlen=MEASUREMENTS)).append(seconds)
        self._line = None

    def prices(self, family: Family) -> Prices:
        """The prices now."""
        overhead, slope = self._fitted()
        measured = {caps: statistics.median(seconds) for caps, seconds in self._measured.get(family, {}).items()}

        def line(caps: Caps) -> float:
            return overhead + slope * self._work(family, caps)

        ratio = statistics.median([seconds / line(caps) for caps, seconds in measured.items()] or [1.0])
        epoch = functools.cache(lambda caps: measured[caps] if caps in measured else ratio * line(caps))
        return Prices(epoch, functools.cache(functools.partial(self._compile, family)), self._stored(family))

    def _fitted(self) -> tuple[float, float]:
        if self._line is None:
            programs = ((family, *item) for family, measured in self._measured.items() for item in measured.items())
            latest = deque(programs, maxlen=PROGRAMS)
            points = [(self._work(family, caps), statistics.median(took)) for family, caps, took in latest]
            self._line = fit(points, self._nominal)
        return self._line
