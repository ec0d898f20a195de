"""The last trials of a study, moved together into a smaller program."""

import time

import jax
import pytest

from tests.helpers import make_arrays
from tests.lanes.test_memory import assert_equal
from tests.lanes.test_same_numbers import numbers_of, point
from tuner.lanes.engine import Engine
from tuner.lanes.homes import Homes
from tuner.lanes.layout import layout_of
from tuner.lanes.population import Population
from tuner.lanes.store import ProgramStore
from tuner.models import MLP

SECONDS = 60


def started(**options):
    """An engine whose four trials, in one chunk, have trained two epochs."""
    engine = Engine(MLP, make_arrays(), **{"slots": 4, "seed": 0, "chunk": 4, "store": ProgramStore(), **options})
    for trial in range(4):
        engine.add(trial, point(size=3 + trial))
    assert engine.seat() == {}
    for _ in range(2):
        engine.advance()
    return engine


def places(engine, trial):
    return engine.population_of(trial).program.layout.trials


def seat_until(engine, trial, trials):
    """Go on as a study does until the trial's program has so many places."""
    end = time.monotonic() + SECONDS
    while places(engine, trial) != trials:
        assert time.monotonic() < end
        assert engine.seat("none") == {}


def trained(engine, trials, epochs=3):
    rows = {trial: [] for trial in trials}
    for _ in range(epochs):
        for trial, result in engine.advance().items():
            rows[trial].append((result.epoch, numbers_of(result)))
    return rows


@pytest.fixture
def free_compiles(monkeypatch):
    monkeypatch.setattr(Homes, "opening_seconds", lambda *_: 0.0)


@pytest.mark.parametrize(("left", "expected"), [([3], 1), ([0, 2], 2)])
def test_trials_go_on_as_they_were(float64, free_compiles, left, expected):
    rows = []
    for compact in (False, True):
        engine = started()
        for trial in set(range(4)) - set(left):
            engine.remove(trial)
        if compact:
            engine.no_more()
            seat_until(engine, left[0], expected)
        before = engine.usage.busy_lane_epochs, engine.usage.lane_epochs
        rows.append(trained(engine, left))
        busy, run = engine.usage.busy_lane_epochs - before[0], engine.usage.lane_epochs - before[1]
        assert busy / run == (1.0 if compact else len(left) / 4)
    assert_equal(*rows)
    assert engine.usage.compiled[-1]["reason"] == f"{expected} places for the last trials"


def test_they_move_again_when_fewer_are_left(float64, free_compiles):
    engine = started()
    engine.remove(1)
    engine.remove(2)
    engine.no_more()
    seat_until(engine, 3, 2)
    engine.advance()
    engine.remove(0)
    seat_until(engine, 3, 1)
    other = started()
    trained(other, range(4), epochs=1)
    for trial in range(3):
        other.remove(trial)
    assert_equal(trained(engine, [3]), trained(other, [3]))


def test_nothing_moves_while_trials_may_come(free_compiles):
    engine = started()
    engine.remove(0)
    engine.remove(1)
    assert engine.seat() == {}
    assert len(engine.usage.compiled) == 1
    engine.no_more()
    engine.add(9, point())
    assert engine.seat() == {}
    assert len(engine.usage.compiled) == 1


@pytest.mark.parametrize("options", [{}, {"deterministic": True}])
def test_nothing_moves_where_it_does_not_pay(monkeypatch, options):
    monkeypatch.setattr(Homes, "opening_seconds", lambda *_: 0.0 if options else 1e6)
    engine = started(**options)
    for trial in range(3):
        engine.remove(trial)
    engine.no_more()
    for _ in range(2):
        assert engine.seat() == {}
        engine.advance()
    assert places(engine, 3) == 4


def test_without_memory_for_both_they_stay(monkeypatch, free_compiles):
    engine = started()
    for trial in range(3):
        engine.remove(trial)
    tried = []

    def scarce(population, program):
        tried.append(program.layout.trials)
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")

    monkeypatch.setattr(Population, "moved_to", scarce)
    engine.no_more()
    end = time.monotonic() + SECONDS
    while not tried and time.monotonic() < end:
        assert engine.seat("none") == {}
    assert tried == [1]
    assert [result.epoch for result in engine.advance().values()] == [3]


def test_the_layout_that_holds_the_last():
    layout = layout_of(make_arrays(), 4, 12)
    assert [layout.holding(trials).trials for trials in (12, 7, 6, 4, 3, 2, 1)] == [12, 12, 6, 6, 3, 3, 1]
    spread = layout_of(make_arrays(), 4, 8, devices=4)
    assert spread.holding(1).trials == 4
