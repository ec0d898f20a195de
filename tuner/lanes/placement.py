"""Which program trains a trial: masked in one that is open, or in a tighter one that is worth compiling.

Pure functions of plain data. A family is what programs share but for their caps; it is opaque here. A demand is a
number of epochs by the tight caps of the trials that want them, so its size is bounded by the lattice of caps.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from tuner.hyperparameters import Width
from tuner.lanes.costs import Caps, Costs, Family, Prices
from tuner.lanes.sites import Sites, best_sites, cheapest, cost_without, covers

HEADROOM = 0.25  # of a compile: what a first program may cost the known trials for the sake of those to come


def tightest_cap(width: Width) -> int:
    """The smallest cap on the ladder that the size fits in, but no more than the declared cap.

    The ladder has eight steps an octave, of 8 at least: 1, 2, 4, 8, 16, 24, ..., 120, 128, 144, ..., 256, 288, ...
    """
    octave = 1 << (int(width.size) - 1).bit_length()
    step = max(8, octave // 16)
    return min(octave, -(-int(width.size) // step) * step, width.cap)


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
    tight: Caps, declared: Caps, opened: Collection[Caps], demand: Mapping[Caps, float], prices: Prices
) -> Decision:
    """Decide which program trains a trial, all of one family.

    Args:
        tight: the trial's tight caps.
        declared: the caps that the trial's widths declare.
        opened: the caps of the programs that are open.
        demand: tight caps to epochs: of the past, and those expected of the trials at hand, this one included.
        prices: what epochs and compiles cost.
    """
    return _decide(tight, plan(tight, declared, opened, demand, prices), opened, demand, prices)


def plan(
    tight: Caps, declared: Caps, opened: Collection[Caps], demand: Mapping[Caps, float], prices: Prices
) -> frozenset[Caps]:
    """The programs that, opened beside those that are open, would serve the demand at least cost.

    For each cap alone this is ski rental (Karlin, Manasse, Rudolph, Sleator 1988): a program opens when what it would
    have saved reaches what it costs. For a trial that nothing open covers one program is always planned.

    Args:
        tight: the tight caps of the trial that comes next.
        declared: as in ``place``.
        opened: as in ``place``.
        demand: as in ``place``.
        prices: as in ``place``.
    """
    sites = Sites(_candidates(tight, declared, demand, prices), opened, demand, prices, tight)
    planned = frozenset(sites.caps[site] for site in best_sites(sites))
    if cheapest(tight, opened, prices) is not None:
        return planned
    best = cheapest(tight, planned, prices)
    return planned - {best} | {_with_headroom(tight, sites, planned - {best}, prices)}


def _decide(
    tight: Caps, planned: Collection[Caps], opened: Collection[Caps], demand: Mapping[Caps, float], prices: Prices
) -> Decision:
    """The cheapest of the programs that are open or planned."""
    meanwhile = cheapest(tight, opened, prices)
    best = cheapest(tight, [*planned, *opened], prices)
    if best is None:
        raise ValueError(f"nothing that is planned or open covers {tight}")
    if best == meanwhile:
        return Decision(best, meanwhile, len(opened))
    return Decision(best, meanwhile, len(opened), _tax(best, opened, demand, prices), prices.compile(best))


def _candidates(tight: Caps, declared: Caps, demand: Iterable[Caps], prices: Prices) -> set[Caps]:
    """The tight caps of all demands and their joins with the trial's, those some steps up, and stored programs'."""
    joined = {tuple(map(max, tight, other)) for other in demand}
    return {caps for caps in {*demand, *joined, *_steps_up(tight, declared), *prices.stored} if covers(declared, caps)}


def _steps_up(tight: Caps, declared: Caps) -> Iterator[Caps]:
    while tight != declared:
        tight = tuple(min(2 * cap, most) for cap, most in zip(tight, declared, strict=True))
        yield tight


def _with_headroom(tight: Caps, sites: Sites, others: Collection[Caps], prices: Prices) -> Caps:
    """The widest of the caps that are nearly the best beside the others: a wider program saves compiles to come."""
    costs = sites.costs_with_one_more([sites.caps.index(caps) for caps in others])
    most = costs.min() + HEADROOM * prices.compile(tight)
    near = [caps for caps, cost in zip(sites.caps, costs, strict=True) if cost <= most and covers(caps, tight)]
    return max(near, key=lambda caps: (prices.epoch(caps), caps))


def _tax(caps: Caps, opened: Collection[Caps], demand: Mapping[Caps, float], prices: Prices) -> float:
    """Seconds that the demand loses without a program of these caps."""
    lost = (
        cost_without(wanted, epochs, opened, prices) - epochs * prices.epoch(caps)
        for wanted, epochs in demand.items()
        if covers(caps, wanted)
    )
    return sum(seconds for seconds in lost if seconds > 0)


class FamilyMemory(NamedTuple):
    """What a placer remembers of a family.

    opened: its programs. trained: epochs by tight caps, in the order in which these came. looked, planned: epochs
    trained when the plan was made, and the plan.
    """

    opened: list[Caps]
    trained: list[tuple[Caps, int]]
    looked: int = 0
    planned: list[Caps] | None = None


class PlacerMemory(NamedTuple):
    """All that a placer remembers: epochs trained by the trials that ended, how many these are, and each family's."""

    epochs: float
    trials: int
    families: dict[Family, FamilyMemory]


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
        self._plans: dict[Family, tuple[int, frozenset[Caps]]] = {}  # epochs trained when it was made, and the plan
        self._costs, self._epochs, self._trials = costs, float(budget), 1

    @property
    def expected(self) -> float:
        """Epochs that a trial trains: the mean over the trials that ended and one of the budget."""
        return self._epochs / self._trials

    def place(self, trial: Asked, waiting: Iterable[Asked] = ()) -> Decision:
        """Decide where a trial trains, in view of those that wait behind it; a new program counts as open from now.

        What is planned is looked at again for each trial at first, later when the past has grown by a twentieth.
        """
        family, opened = trial.family, self.opened[trial.family]
        demand: defaultdict[Caps, float] = defaultdict(float, self.trained[family])
        for known in (trial, *waiting):
            if known.family == family:
                demand[known.tight] += self.expected
        prices, trained = self._costs.prices(family), self.trained[family].total()
        looked, planned = self._plans.get(family, (0, frozenset()))
        is_new = trained + self.expected >= 1.05 * looked
        if is_new or cheapest(trial.tight, [*planned, *opened], prices) is None:
            planned = plan(trial.tight, trial.declared, opened, demand, prices)
            self._plans[family] = trained, planned
        decision = _decide(trial.tight, planned, opened, demand, prices)
        opened.add(decision.caps)
        return decision

    @property
    def memory(self) -> PlacerMemory:
        """What it remembers, for ``remember``."""
        families = {}
        for family, opened in self.opened.items():
            looked, planned = self._plans.get(family, (0, None))
            in_order = None if planned is None else sorted(planned)
            families[family] = FamilyMemory(sorted(opened), list(self.trained[family].items()), looked, in_order)
        return PlacerMemory(self._epochs, self._trials, families)

    def remember(self, memory: PlacerMemory) -> None:
        """Go on as the placer whose memory this was."""
        self._epochs, self._trials = memory.epochs, memory.trials
        for family, (opened, trained, looked, planned) in memory.families.items():
            self.opened[family], self.trained[family] = set(opened), Counter(dict(trained))
            if planned is not None:
                self._plans[family] = looked, frozenset(planned)

    def ran(self, trial: Asked, epochs: int = 1) -> None:
        """A trial was trained for so many epochs."""
        self.trained[trial.family][trial.tight] += epochs

    def ended(self, epochs: int) -> None:
        """A trial ended after so many epochs, complete or pruned."""
        self._epochs, self._trials = self._epochs + epochs, self._trials + 1
