"""The way over the lanes is measured once it pays, and remembered."""

import os
from concurrent.futures import Future
from types import SimpleNamespace

import numpy as np
import pytest

from tests.helpers import make_arrays
from tests.lanes.test_same_numbers import numbers_of, point
from tuner.lanes import homes, ways
from tuner.lanes.engine import Engine
from tuner.lanes.layout import layout_of
from tuner.lanes.store import ProgramStore
from tuner.models import MLP


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """Measuring pays at once, and one lane at a time is found to be faster; nothing is known from elsewhere."""
    monkeypatch.setitem(os.environ, "TUNER_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(ways, "_PATIENCE", 0)
    monkeypatch.setattr(ways, "_GAIN", 1e9)
    monkeypatch.setattr(ways, "fastest", lambda programs, arrays, drawn, busy: ways.Way(1, 1))


def engine_of(arrays, **options):
    return Engine(MLP, arrays, **{"slots": 4, "seed": 0, "store": ProgramStore(), **options})


def train(engine, epochs=6):
    """Trial 0, and trial 1 that comes after the ways were measured; the lanes together of each, their numbers."""
    engine.add(0, point())
    assert engine.seat() == {}
    rows = [numbers_of(engine.advance()[0]) for _ in range(epochs)]
    for future in [
        future for weighing in engine._homes._ways._weighings.values() if weighing for future in weighing.programs
    ]:
        future.result()
    engine.seat()  # starts the measurement
    for weighing in [weighing for weighing in engine._homes._ways._weighings.values() if weighing]:
        weighing.best.result()
    engine.add(1, point(size=6))
    assert engine.seat() == {}
    rows.append(numbers_of(engine.advance()[1]))
    return [engine.population_of(trial).program.layout.together for trial in (0, 1)], rows


def test_the_faster_way_is_used_and_remembered_and_moves_no_number(float64, quick):
    arrays = make_arrays()
    engine = engine_of(arrays)
    together, rows = train(engine)
    assert together == [3, 1]
    assert engine.usage.compiled[-1]["reason"] == "1 trials, 1 lanes together: measured as the fastest"
    again = engine_of(arrays)
    known, same = train(again)
    assert known == [1, 1]
    assert again.usage.programs == 1
    np.testing.assert_allclose(rows, same, rtol=1e-9)


def test_a_deterministic_engine_measures_nothing(quick):
    arrays = make_arrays()
    train(engine_of(arrays))
    engine = engine_of(arrays, deterministic=True)
    assert train(engine)[0] == [3, 3]


@pytest.mark.parametrize(("bytes_of_cache", "together"), [(3 * 8 * 8 * 4, 3), (3 * 8 * 8 * 4 - 1, 1)])
def test_lanes_whose_operands_outgrow_the_cache_train_one_at_a_time(monkeypatch, bytes_of_cache, together):
    monkeypatch.setattr(homes, "_CACHE", bytes_of_cache)  # folds x batch size x cap x four bytes
    engine = engine_of(make_arrays(), deterministic=True)
    engine.add(0, point(size=3, cap=8))
    assert engine.seat() == {}
    assert engine.population_of(0).program.layout.together == together


def test_ways_worth_comparing():
    arrays = make_arrays(folds=5)
    assert [other.together for other in ways.other_ways(layout_of(arrays, 16, 1))] == [1]
    assert [other.together for other in ways.other_ways(layout_of(arrays, 16, 4))] == [1, 5]
    assert [other.together for other in ways.other_ways(layout_of(arrays, 16, 4, together=5))] == [1, 20]
    assert [other.together for other in ways.other_ways(layout_of(arrays, 16, 4, devices=2))] == [1, 5]
    assert ways.other_ways(layout_of(make_arrays(folds=1 + 1), 16, 1, together=2))[0].together == 1


def test_chunks_worth_comparing():
    layout = layout_of(make_arrays(folds=5), 16, 8)
    assert [(o.trials, o.together) for o in ways.other_ways(layout, 5)] == [(8, 1), (8, 5), (1, 5), (3, 15), (5, 25)]
    assert [(o.trials, o.together) for o in ways.other_ways(layout, 8)] == [(8, 1), (8, 5), (1, 5), (4, 20)]
    assert [(o.trials, o.together) for o in ways.other_ways(layout, 20)] == [(8, 1), (8, 5), (1, 5)]
    spread = layout_of(make_arrays(folds=5), 16, 8, devices=4)
    assert [(o.trials, o.together) for o in ways.other_ways(spread, 5)] == [(8, 1), (8, 5), (4, 5)]


@pytest.mark.parametrize(
    ("busy", "seconds", "expected"),
    [
        (4, {4: 1.0, 1: 0.5}, 4),  # one chunk of four, or four of one
        (4, {4: 1.0, 1: 0.2}, 1),
        (1, {4: 1.0, 1: 0.5}, 1),  # one place of four is in use
        (4, {4: 1.0, 1: 0.24}, 4),  # no clear gain
    ],
)
def test_idle_places_count(monkeypatch, busy, seconds, expected):
    class Timed:
        def __init__(self, program, *_):
            self.program, self.seats = program, {}

        def advance(self, *_):
            return SimpleNamespace(seconds=seconds[self.program.layout.trials])

    monkeypatch.setattr(ways, "_full", Timed)
    futures = []
    for trials in (4, 1):
        future = Future()
        future.set_result(SimpleNamespace(layout=layout_of(make_arrays(), 16, trials)))
        futures.append(future)
    assert ways.fastest(futures, None, None, busy) == (expected, 3 * expected)


def test_the_fastest_of_real_programs_is_one_of_them(arrays):
    store = ProgramStore()
    engine = engine_of(arrays, store=store)
    engine.add(0, point())
    assert engine.seat() == {}
    program = engine.population_of(0).program
    futures = [store.request(program.recipe, layout) for layout in [program.layout, *ways.other_ways(program.layout)]]
    drawn = engine._draw(engine._seated[0].home, engine.population_of(0).seats[0].numbers, 0)
    assert ways.fastest(futures, arrays, drawn, 1) in {(1, 1), (1, 3)}
