"""Which program trains a trial: the rule, its prices, and its cost against the offline optimum. Nothing is trained."""

import itertools
import math
import random

import pytest

from benchmarks import placement as simulated
from tuner.lanes.costs import ON_ACCELERATOR, ON_CPU, Costs, Prices, fit, places
from tuner.lanes.placement import Asked, Placer, place
from tuner.lanes.sites import Sites, best_sites

PRICES = Prices(lambda caps: float(math.prod(caps)), lambda caps: 100.0)  # a compile is worth 100 unit-epochs


def placed(tight, opened=(), demand=None, prices=PRICES, declared=None):
    return place(tight, declared or (64,) * len(tight), opened, demand or {tight: 1}, prices)


# The rule


def test_tight_caps_are_steps_of_a_ladder_up_to_the_declared_cap():
    assert Asked("f", (1, 17, 150, 200), (4, 32, 200, 200)).tight == (1, 24, 160, 200)
    assert Asked("f", (), ()).tight == ()


def test_the_first_of_a_family_opens():
    decision = placed((16,), demand={(16,): 10})
    assert (decision.caps, decision.opens, decision.meanwhile) == ((16,), True, None)
    assert decision.reason == "first of its signature"
    assert placed((32,), opened=[(16,)]).reason == "no open program covers it"


def test_a_family_without_widths_has_one_program():
    assert placed((), demand={(): 20}).opens
    assert not placed((), opened=[()], demand={(): 1e9}).opens


def test_a_trial_runs_masked_until_its_tax_reaches_a_compile():
    epochs = 100 / (64 - 16)
    masked = placed((16,), [(64,)], {(16,): 0.99 * epochs})
    assert (masked.caps, masked.opens, masked.reason) == ((64,), False, "the cheapest open program")
    opened = placed((16,), [(64,)], {(16,): 1.01 * epochs})
    assert (opened.caps, opened.opens, opened.meanwhile) == ((16,), True, (64,))
    assert opened.reason == "mask tax of 101.0 s reached the 100.0 s of a compile"


def test_demands_that_one_program_would_serve_add_up():
    demand = {(16,): 1.3, (32,): 1.3}  # neither pays for a program of its own
    assert not placed((32,), [(64,)], {(32,): 1.3}).opens
    assert not placed((16,), [(64,)], {(16,): 1.3}).opens
    assert placed((32,), [(64,)], {(32,): 2.0, (16,): 2.0}).caps == (32,)
    assert not placed((32,), [(64,)], demand).opens
    crossed = {(16, 32): 0.016, (32, 16): 0.016}
    assert placed((16, 32), [(64, 64)], crossed).caps == (64, 64)
    assert placed((16, 32), [(64, 64)], dict.fromkeys(crossed, 0.0165)).caps == (32, 32)


def test_a_demand_that_a_program_serves_by_now_adds_nothing():
    assert placed((32,), [(64,)], {(32,): 2, (16,): 2}).opens
    assert not placed((32,), [(64,), (16,)], {(32,): 2, (16,): 2}).opens


def test_known_demand_makes_the_first_program_wider():
    assert placed((16,), demand={(16,): 2, (32,): 2}).caps == (32,)  # one compile for both
    assert placed((16,), demand={(16,): 50, (32,): 2}).caps == (16,)


def test_headroom_where_it_costs_little():
    assert placed((16,), demand={(16,): 0.5}).caps == (64,)
    assert placed((16,), demand={(16,): 1.0}).caps == (32,)
    assert placed((16,), demand={(16,): 2.0}).caps == (16,)
    assert placed((16,), demand={(16,): 0.5}, declared=(24,)).caps == (24,)


def test_programs_that_are_stored_open_for_nothing():
    stored = Prices(PRICES.epoch, lambda caps: 0.0 if caps == (32,) else 100.0)
    assert placed((16,), [(64,)], {(16,): 0.1}, stored).caps == (32,)
    assert placed((16,), [], {(16,): 5}, stored).caps == (32,)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_open_a_trial_fits_and_caps_stay_within_the_declared(seed):
    rng = random.Random(seed)
    caps = lambda: tuple(rng.choice([1, 2, 4, 8, 16, 20]) for _ in range(3))
    for _ in range(50):
        tight, opened = caps(), [caps() for _ in range(rng.randrange(6))]
        demand = {caps(): rng.random() for _ in range(5)} | {tight: rng.random()}
        price = {}
        prices = Prices(lambda point, price=price: price.setdefault(point, rng.random()), lambda _: 0.3)
        decision = place(tight, (20, 20, 20), opened, demand, prices)
        assert all(cap >= least for cap, least in zip(decision.caps, tight, strict=True))
        assert decision.opens == (decision.caps not in opened)
        assert max(decision.caps) <= 20
        assert decision == place(tight, (20, 20, 20), opened[::-1], demand, prices)


# Prices


def test_a_line_is_found_among_points_that_are_far_off():
    points = [(work, 0.5 + 2 * work) for work in range(10)] + [(3.0, 400.0), (5.0, 0.0)]
    assert fit(points) == pytest.approx((0.5, 2.0))


def test_before_measurements_prices_are_nominal_and_afterwards_measured():
    costs = Costs(lambda family, caps: 1e7 * caps[0])
    nominal = costs.prices("a").epoch((8,))
    assert nominal == pytest.approx(0.003 + 8e7 / 1e10)
    for took in (5.0, 1.0, 1.0):
        costs.observe("a", (8,), took)
    assert costs.prices("a").epoch((8,)) == 1.0
    assert costs.prices("a").epoch((16,)) == pytest.approx(0.019 / 0.011)  # the nominal line, scaled
    costs.observe("a", (16,), 1.5)
    assert costs.prices("a").epoch((32,)) == pytest.approx(2.5)
    for caps, took in (((8,), 3.0), ((16,), 4.5)):
        costs.observe("b", caps, took)  # another family is three times as slow
    assert costs.prices("b").epoch((32,)) / costs.prices("a").epoch((32,)) == pytest.approx(3)


def test_multiply_adds_are_asked_once_and_for_few_caps():
    asked = []
    costs = Costs(lambda family, caps: asked.append((family, caps)) or simulated.work(family, caps))
    simulated.online(simulated.drawn(100, 0), costs)
    assert len(asked) == len(set(asked)) <= 4 * 23**2


# The study


def test_epochs_expected_of_a_trial_follow_those_that_ended():
    placer = Placer(Costs(simulated.work), 20)
    assert placer.expected == 20
    placer.ended(1)
    placer.ended(3)
    assert placer.expected == 8


def test_trials_that_wait_count_in_their_own_family_only():
    small, large = Asked(32, (16, 16), (256, 256)), Asked(32, (128, 128), (256, 256))
    alone = Placer(simulated.KnownCosts(simulated.work), 20).place(small)
    other = Placer(simulated.KnownCosts(simulated.work), 20).place(small, [large._replace(family=64)] * 3)
    assert alone == other
    shared = Placer(simulated.KnownCosts(simulated.work), 20).place(small, [small._replace(sizes=(64, 64))] * 2)
    assert shared.caps == (64, 64)


def test_placement_depends_on_nothing_but_the_order_of_trials():
    trace = simulated.drawn(300, 1, pruned=True)
    assert simulated.online(trace, Costs(simulated.work)) == simulated.online(trace, Costs(simulated.work))


def test_the_optimum_against_all_subsets():
    demand, prices = {(16, 64): 30, (32, 16): 50, (64, 64): 3}, simulated.true_prices(32)
    points = [(a, b) for a in (16, 32, 64) for b in (16, 64)]
    fits = lambda caps, wanted: caps[0] >= wanted[0] and caps[1] >= wanted[1]
    best = math.inf
    for chosen in range(1, 1 << len(points)):
        caps = [point for index, point in enumerate(points) if chosen >> index & 1]
        served = [min((prices.epoch(c) for c in caps if fits(c, w)), default=math.inf) * e for w, e in demand.items()]
        best = min(best, simulated.COMPILE * len(caps) + sum(served))
    assert simulated.optimum(demand, prices)[0] == pytest.approx(best)


TRACES = {
    **simulated.recorded(simulated.RECORDED),
    **{f"random, {seed}": simulated.drawn(100, seed) for seed in range(4)},
    **{f"halving, {seed}": simulated.drawn(100, seed, pruned=True) for seed in range(4)},
    **{f"one width, {seed}": simulated.drawn(40, seed, widths=1) for seed in range(2)},
    "concentrating": simulated.concentrating(100, 0),
    "600 trials": simulated.drawn(600, 0),
    "600 trials, halving": simulated.drawn(600, 0, pruned=True),
}


@pytest.mark.parametrize("name", TRACES)
def test_at_most_twice_the_optimum(name, capsys):
    trace = TRACES[name]
    least, fewest = simulated.offline(trace)
    ways = {
        "known": simulated.online(trace, simulated.KnownCosts(simulated.work)),
        "measured": simulated.online(trace, Costs(simulated.work), noise=0.2),
        "nominal": simulated.online(trace, Costs(simulated.work)),
        "one at a time": simulated.online(trace, simulated.KnownCosts(simulated.work), slots=1, ahead=0),
    }
    ratios = {way: seconds / least for way, (seconds, _) in ways.items()}
    with capsys.disabled():
        print(f"\n{name}: optimum {fewest} programs;", end=" ")
        print(", ".join(f"{way} {ratio:.2f} ({ways[way][1]})" for way, ratio in ratios.items()), end=" ")
    assert max(ratios.values()) <= 2
    if len(trace) == 100:
        assert max(programs for _, programs in ways.values()) <= 30


@pytest.mark.parametrize("seed", range(4))
def test_trials_that_are_foreseen_are_placed_nearly_at_best(seed):
    trace = simulated.drawn(100, seed)
    seconds, _ = simulated.online(trace, simulated.KnownCosts(simulated.work), ahead=100)
    assert seconds <= 1.1 * simulated.offline(trace)[0]


def test_sites_that_are_best_together_and_not_one_by_one():
    demand = {(32, 16): 5.0, (16, 64): 8.0, (32, 32): 3.0}
    prices = Prices(PRICES.epoch, lambda caps: 5000.0)
    sites = Sites(itertools.product((16, 32), (16, 32, 64)), [(64, 64)], demand, prices, (32, 16))
    first = sites.caps[int(sites.costs_with_one_more([]).argmin())]
    chosen = best_sites(sites)
    assert first == (32, 64)
    assert {sites.caps[site] for site in chosen} == {(16, 64), (32, 32)}
    subsets = itertools.chain.from_iterable(itertools.combinations(range(len(sites.caps)), size) for size in range(7))
    assert sites.cost(chosen) == min(map(sites.cost, subsets))


def test_plans_are_made_again_when_the_past_has_grown():
    large, small = Asked(32, (256, 256), (256, 256)), Asked(32, (16, 16), (256, 256))
    placer = Placer(simulated.KnownCosts(simulated.work), 20)
    assert placer.place(large).caps == (256, 256)
    placer.ran(large, 10_000)
    assert placer.place(large).caps == (256, 256)
    placer.ran(small, 300)  # less than a twentieth: the tax that they paid is not looked at
    assert placer.place(small).caps == (256, 256)
    placer.ran(small, 300)
    assert placer.place(small).caps == (16, 16)


def test_nested_caps_cost_more_than_twice_the_optimum():
    spent, least, _ = simulated.nested()
    assert 2 < spent / least < 4


@pytest.mark.parametrize(
    ("nominal", "work", "expected"),
    [(ON_CPU, 1e8, 1), (ON_ACCELERATOR, 5e7, 10), (ON_ACCELERATOR, 1.2e9, 3), (ON_ACCELERATOR, 1e12, 1)],
)
def test_a_chunk_holds_what_is_computed_while_its_steps_are_launched(nominal, work, expected):
    assert places(10, 36, work, nominal) == expected
