"""The programs that would serve a known demand at least cost: facility location, by local search.

Pure functions of plain data.
"""

import operator
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from tuner.lanes.costs import Caps, Prices

_DECIMALS = 9  # of seconds: sums that differ by less are equal, on every machine


def covers(caps: Caps, wanted: Caps) -> bool:
    """Whether a program of these caps can train a trial of these tight caps."""
    return all(map(operator.ge, caps, wanted))


def cheapest(wanted: Caps, programs: Iterable[Caps], prices: Prices) -> Caps | None:
    """The program that trains a trial of these tight caps in the least time; None where none can."""
    fitting = (caps for caps in programs if covers(caps, wanted))
    return min(fitting, key=lambda caps: (prices.epoch(caps), caps), default=None)


def cost_without(wanted: Caps, epochs: float, opened: Collection[Caps], prices: Prices) -> float:
    """Seconds of a demand in what is open; where nothing covers it, in a tight program of its own, with its compile."""
    caps = cheapest(wanted, opened, prices)
    return epochs * prices.epoch(wanted) + prices.compile(wanted) if caps is None else epochs * prices.epoch(caps)


class Sites:
    """Programs that may be opened, and what serving a demand with them costs.

    Args:
        candidates: caps of programs that may be opened.
        opened: caps of those that are open already.
        demand: tight caps to epochs.
        prices: what epochs and compiles cost.
        now: tight caps that have to be served by a site where nothing open covers them; others may still wait.
    """

    def __init__(
        self,
        candidates: Iterable[Caps],
        opened: Collection[Caps],
        demand: Mapping[Caps, float],
        prices: Prices,
        now: Caps,
    ) -> None:
        self.caps = sorted(set(candidates) - set(opened))
        self._without = np.array([cost_without(wanted, epochs, opened, prices) for wanted, epochs in demand.items()])
        if cheapest(now, opened, prices) is None:
            self._without[list(demand).index(now)] = np.inf
        self._fees = np.array([prices.compile(caps) for caps in self.caps])
        self._served = _served(self.caps, demand, prices)

    def cost(self, chosen: Iterable[int]) -> float:
        """Seconds of the demand and of opening the sites of these numbers."""
        return round(float(self._seconds(chosen).sum() + self._fees[list(chosen)].sum()), _DECIMALS)

    def costs_with_one_more(self, chosen: Iterable[int]) -> np.ndarray:
        """The same with each site opened beside the chosen ones."""
        served = np.minimum(self._seconds(chosen)[:, None], self._served).sum(axis=0)
        return (served + self._fees + self._fees[list(chosen)].sum()).round(_DECIMALS)

    def _seconds(self, chosen: Iterable[int]) -> np.ndarray:
        return np.minimum(self._without, self._served[:, list(chosen)].min(axis=1, initial=np.inf))


def best_sites(sites: Sites) -> frozenset[int]:
    """The numbers of the sites that, opened together, serve the demand at least cost beside what is open.

    Uncapacitated facility location. From nothing opened, the best of all moves (open one, close one, or both) is made
    until none gains; that is at most three times the optimum (Arya, Garg, Khandekar, Meyerson, Munagala and Pandit,
    "Local search heuristics for k-median and facility location problems", 2004) where costs are a metric.
    """
    chosen: frozenset[int] = frozenset()
    least = sites.cost(chosen)
    while sites.caps:
        after, cost = min((_best_move(sites, kept) for kept in _kept(chosen)), key=lambda move: move[1])
        if cost >= least:
            break
        chosen, least = after, cost
    return chosen


def _kept(chosen: frozenset[int]) -> list[frozenset[int]]:
    """What a move may leave open: all, or all but one."""
    return [chosen, *(chosen - {closed} for closed in sorted(chosen))]


def _best_move(sites: Sites, kept: frozenset[int]) -> tuple[frozenset[int], float]:
    """The cheaper of leaving it at ``kept`` and of opening the best site beside it, with the seconds that it costs."""
    alone, costs = sites.cost(kept), sites.costs_with_one_more(kept)
    best = int(costs.argmin())
    return (kept, alone) if alone <= costs[best] else (kept | {best}, float(costs[best]))


def _served(sites: Sequence[Caps], demand: Mapping[Caps, float], prices: Prices) -> np.ndarray:
    """Seconds of each demand (rows) in each site (columns), infinite where it does not fit."""
    wanted = np.array(list(demand))
    caps = np.array(sites).reshape(len(sites), wanted.shape[1])
    fits = (wanted[:, None] <= caps[None]).all(axis=-1)
    epochs = np.array(list(demand.values()))
    return np.where(fits, epochs[:, None] * np.array([prices.epoch(site) for site in sites]), np.inf)
