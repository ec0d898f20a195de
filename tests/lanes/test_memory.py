"""What happens where a device has less memory than programs need."""

import jax
import numpy as np
import pytest

from tests.helpers import make_arrays
from tests.lanes.test_same_numbers import numbers_of, point
from tuner.lanes import homes as homes_module
from tuner.lanes.engine import Engine
from tuner.lanes.layout import layout_of
from tuner.lanes.memory import OutOfMemoryError, is_out_of_memory
from tuner.lanes.program import Program
from tuner.models import MLP


def engine_of(arrays, **options):
    return Engine(MLP, arrays, **{"slots": 4, "seed": 0, **options})


def train(engine, epochs=4):
    """Four trials, the last of which comes an epoch later; what their epochs gave, by trial."""
    for trial in range(3):
        engine.add(trial, point(size=3 + trial))
    assert engine.seat() == {}
    rows = {trial: [] for trial in range(4)}
    for epoch in range(epochs):
        if epoch == 1:
            engine.add(3, point(size=8))
            assert engine.seat() == {}
        for trial, result in engine.advance().items():
            rows[trial].append((result.epoch, numbers_of(result)))
    return rows


def assert_equal(one, other):
    for trial, rows in one.items():
        assert [epoch for epoch, _ in rows] == [epoch for epoch, _ in other[trial]]
        for (_, a), (_, b) in zip(rows, other[trial], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9)


@pytest.mark.parametrize("fails_in", [1, 3])
@pytest.mark.parametrize("chunk", [4, 1])
def test_a_program_that_runs_out_of_memory_is_halved_and_no_trial_is_lost(float64, monkeypatch, chunk, fails_in):
    expected = train(engine_of(make_arrays(), chunk=chunk))
    plain, tried = Program.advance, []

    def scarce(program, state, *arguments):
        tried.append(program.layout)
        if len(tried) >= fails_in and program.layout.together > 3:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory allocating 7 bytes")
        if len(tried) >= fails_in and program.layout.together == 3 and chunk == 1:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory allocating 3 bytes")
        return plain(program, state, *arguments)

    monkeypatch.setattr(Program, "advance", scarce)
    assert_equal(expected, train(engine_of(make_arrays(), chunk=chunk)))
    assert {layout.trials for layout in tried} == ({4, 2, 1} if chunk == 4 else {1})
    assert {layout.together for layout in tried} == ({12, 6, 3} if chunk == 4 else {3, 1})


def test_where_a_trial_was_trained_is_told_after_halving_too(monkeypatch):
    engine, plain = engine_of(make_arrays(), chunk=4), Program.advance
    engine.add(0, point())
    assert engine.seat() == {}
    assert (engine.placement_of(0)["chunk"], engine.placement_of(0)["lanes_together"]) == (4, 12)

    def scarce(program, state, *arguments):
        if program.layout.trials > 2:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory allocating 7 bytes")
        return plain(program, state, *arguments)

    monkeypatch.setattr(Program, "advance", scarce)
    engine.advance()
    assert (engine.placement_of(0)["chunk"], engine.placement_of(0)["lanes_together"]) == (2, 6)


def test_a_program_that_cannot_fit_is_made_smaller_before_it_runs(monkeypatch, arrays):
    full = Program(*recipe_and_layout(arrays, 4))
    quarter = Program(*recipe_and_layout(arrays, 1))
    needed = quarter.memory.state + quarter.memory.call
    assert needed < full.memory.state + full.memory.call
    monkeypatch.setattr(homes_module, "device_bytes", lambda: needed)
    engine = engine_of(arrays, chunk=4)
    engine.add(0, point())
    assert engine.seat() == {}
    assert engine.population_of(0).program.layout.trials == 1


def recipe_and_layout(arrays, trials):
    engine = engine_of(arrays, chunk=trials)
    engine.add(0, point())
    assert engine.seat() == {}
    program = engine.population_of(0).program
    return program.recipe, program.layout


def test_a_trial_whose_lanes_have_no_room_waits(monkeypatch, arrays):
    program = Program(*recipe_and_layout(arrays, 1))
    two = 2 * program.memory.state + 2 * program.memory.call
    monkeypatch.setattr(homes_module, "device_bytes", lambda: max(two, program.memory.state + program.memory.call))
    engine = engine_of(arrays, chunk=1)
    for trial in range(3):
        engine.add(trial, point())
    assert engine.seat() == {}
    assert engine.seated == {0, 1}
    engine.advance()
    engine.remove(0)
    assert engine.seat() == {}
    assert engine.seated == {1, 2}


def test_a_program_of_one_lane_at_a_time_that_does_not_fit_says_so(monkeypatch, arrays):
    monkeypatch.setattr(homes_module, "device_bytes", lambda: 1)
    engine = engine_of(arrays)
    engine.add(0, point())
    [failure] = engine.seat().values()
    assert isinstance(failure, OutOfMemoryError)
    assert "batch size 8" in str(failure)
    assert "hidden.0 up to 8" in str(failure)


def test_halving():
    layout = layout_of(make_arrays(folds=5), 16, 4)
    seen = []
    while layout is not None:
        seen.append((layout.trials, layout.together))
        layout = layout.halved()
    assert seen == [(4, 20), (2, 10), (1, 5), (1, 2), (1, 1)]


def test_halving_keeps_lanes_even_over_devices():
    layout = layout_of(make_arrays(folds=5), 16, 8, devices=4)
    seen = []
    while layout is not None:
        seen.append((layout.trials, layout.together))
        layout = layout.halved()
    assert seen == [(8, 10), (4, 5), (4, 2), (4, 1)]


def test_other_errors_are_no_lack_of_memory():
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: x"))
    assert not is_out_of_memory(jax.errors.JaxRuntimeError("INTERNAL: x"))
    assert not is_out_of_memory(ValueError("RESOURCE_EXHAUSTED"))
