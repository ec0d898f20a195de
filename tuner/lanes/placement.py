"""Which program trains a trial: masked in one that is open, or in a tighter one that is worth compiling.

Pure functions of plain data. A family is what programs share but for their caps; it is opaque here. A demand is a
number of epochs by the tight caps of the trials that want them, so its size is bounded by the lattice of caps.
"""

import itertools
import operator
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from tuner.hyperparameters import Width
from tuner.lanes.costs import Caps, Costs, Family, Prices

HEADROOM = 0.25  # of a compile: what a first program may cost the known trials for the sake of those to come


def tightest_cap(width: Width) -> int:
    """The smallest cap on the ladder that the size fits in, but no more than the declared cap.

    The ladder is the powers of two and, from 24 on, their halfway points: 16, 24, 32, 48, 64, 96, ...
    """
    power = 1 << (int(width.size) - 1).bit_length()
    halfway = 3 * power // 4
    return min(halfway if power >= 32 and width.size <= halfway else power, width.cap)


def caps_between(widths: Iterable[Width]) -> int:
    """How many caps are in use from the smallest to the largest of these widths."""
    caps = [(tightest_cap(width), width.cap) for width in widths]
    (low, _), (high, declared) = min(caps), max(caps)
    return len({tightest_cap(Width(size, declared)) for size in range(low, high + 1)})


def first_free(taken: set[tuple[int, int]], trials: int) -> tuple[int, int]:
    """The first (chunk, place) that is not taken, where each chunk has places for this many trials."""
    places = ((chunk, place) for chunk in itertools.count() for place in range(trials))
    return next(place for place in places if place not in taken)


class Asked(NamedTuple):
    """A trial to be placed: its family, and the sizes and declared caps of its widths."""

    family: Family
    sizes: tuple[int, ...]
    declared: Caps

    @property
    def tight(self) -> Caps:
        """The smallest caps that hold it."""
        pairs = zip(self.sizes, self.declared, strict=True)
        return tuple(tightest_cap(Width(size, cap)) for size, cap in pairs)


class Decision(NamedTuple):
    """Where a trial trains, and why.

    caps: of its program. meanwhile: the caps of the best open program, which could train it without waiting; None if
    none covers it. tax: seconds that the trials known so far lose without the new program, those at hand included;
    where nothing covers a trial, the compile that it would need alone is one of its losses. compile_seconds: what the
    new program costs. Both are 0 where none opens. programs: of the family, open before.
    """

    caps: Caps
    meanwhile: Caps | None
    programs: int
    tax: float = 0.0
    compile_seconds: float = 0.0

    @property
    def opens(self) -> bool:
        """Whether the program is a new one."""
        return self.caps != self.meanwhile

    @property
    def reason(self) -> str:
        """One phrase for people."""
        if not self.opens:
            return "the cheapest open program"
        if self.meanwhile is None:
            return "no open program covers it" if self.programs else "first of its signature"
        return f"mask tax of {self.tax:.1f} s reached the {self.compile_seconds:.1f} s of a compile"


def place(
    tight: Caps, declared: Caps, opened: Iterable[Caps], demand: Mapping[Caps, float], prices: Prices
) -> Decision:
    """Decide which program trains a trial, all of one family.

    Ski rental for each cap (Karlin, Manasse, Rudolph, Sleator 1988), which on all caps together is the deterministic
    rule of online facility location (Fotakis 2003): the best candidate opens when what it would have saved reaches
    what it costs. Where nothing covers a demand its price is that of a tight program of its own, so a trial that
    nothing covers always opens one.

    Args:
        tight: the trial's tight caps.
        declared: the caps that the trial's widths declare.
        opened: the caps of the programs that are open.
        demand: tight caps to epochs: of the past, and those expected of the trials at hand, this one included.
        prices: what epochs and compiles cost.
    """
    opened = sorted(opened, key=lambda caps: (prices.epoch(caps), caps))
    meanwhile = _cheapest(tight, opened)
    candidates = _candidates(tight, declared, demand) - set(opened)
    if meanwhile is not None:
        now = prices.epoch(meanwhile)
        candidates = {caps for caps in candidates if prices.epoch(caps) < now}
        if not candidates:
            return Decision(meanwhile, meanwhile, len(opened))
    costs = {wanted: _cost_now(wanted, epochs, opened, prices) for wanted, epochs in demand.items()}
    taxes = {caps: _tax(caps, tight, demand, costs, prices) for caps in sorted(candidates)}
    gains = {caps: tax - prices.compile(caps) for caps, tax in taxes.items()}
    best = max(gains, key=lambda caps: gains[caps])
    if meanwhile is None:
        best = _with_headroom(best, gains, prices)
    elif gains[best] < 0:
        return Decision(meanwhile, meanwhile, len(opened))
    return Decision(best, meanwhile, len(opened), taxes[best], prices.compile(best))


def _covers(caps: Caps, wanted: Caps) -> bool:
    return all(map(operator.ge, caps, wanted))


def _cheapest(wanted: Caps, cheapest_first: Iterable[Caps]) -> Caps | None:
    return next((caps for caps in cheapest_first if _covers(caps, wanted)), None)


def _candidates(tight: Caps, declared: Caps, demand: Iterable[Caps]) -> set[Caps]:
    """The tight caps, those that serve another demand too, and those with all widths some steps up together."""
    joined = {tuple(map(max, tight, other)) for other in demand}
    return {tight, *_steps_up(tight, declared)} | {caps for caps in joined if _covers(declared, caps)}


def _steps_up(tight: Caps, declared: Caps) -> Iterator[Caps]:
    while tight != declared:
        tight = tuple(min(2 * cap, most) for cap, most in zip(tight, declared, strict=True))
        yield tight


def _cost_now(wanted: Caps, epochs: float, opened: Sequence[Caps], prices: Prices) -> float:
    caps = _cheapest(wanted, opened)
    return epochs * prices.epoch(wanted) + prices.compile(wanted) if caps is None else epochs * prices.epoch(caps)


def _tax(caps: Caps, tight: Caps, demand: Mapping[Caps, float], costs: Mapping[Caps, float], prices: Prices) -> float:
    """Seconds that the demand would have saved in a program of these caps; the trial itself has to move there."""
    saved = {
        wanted: costs[wanted] - epochs * prices.epoch(caps)
        for wanted, epochs in demand.items()
        if _covers(caps, wanted)
    }
    return sum(seconds for wanted, seconds in saved.items() if seconds > 0 or wanted == tight)


def _with_headroom(best: Caps, gains: Mapping[Caps, float], prices: Prices) -> Caps:
    """The widest of the caps that are nearly as good as the best: a wider program saves compiles to come."""
    least = gains[best] - HEADROOM * prices.compile(best)
    return max((caps for caps, gain in gains.items() if gain >= least), key=prices.epoch)


class Placer:
    """Places the trials of a study one after the other; what it remembers is plain data.

    Args:
        costs: what epochs and compiles cost.
        budget: epochs that a trial is expected to train, as long as none has ended.

    Attributes:
        opened: each family's programs. Take caps out when their program is dropped.
        trained: each family's epochs so far, by the tight caps of the trials that trained them.
    """

    def __init__(self, costs: Costs, budget: float) -> None:
        self.opened: defaultdict[Family, set[Caps]] = defaultdict(set)
        self.trained: defaultdict[Family, Counter[Caps]] = defaultdict(Counter)
        self._costs, self._epochs, self._trials = costs, float(budget), 1

    @property
    def expected(self) -> float:
        """Epochs that a trial trains: the mean over the trials that ended and one of the budget."""
        return self._epochs / self._trials

    def place(self, trial: Asked, waiting: Iterable[Asked] = ()) -> Decision:
        """Decide where a trial trains, in view of those that wait behind it; a new program counts as open from now."""
        demand: defaultdict[Caps, float] = defaultdict(float, self.trained[trial.family])
        for known in (trial, *waiting):
            if known.family == trial.family:
                demand[known.tight] += self.expected
        opened = self.opened[trial.family]
        decision = place(trial.tight, trial.declared, opened, demand, self._costs.prices(trial.family))
        opened.add(decision.caps)
        return decision

    def ran(self, trial: Asked, epochs: int = 1) -> None:
        """A trial was trained for so many epochs."""
        self.trained[trial.family][trial.tight] += epochs

    def ended(self, epochs: int) -> None:
        """A trial ended after so many epochs, complete or pruned."""
        self._epochs, self._trials = self._epochs + epochs, self._trials + 1
