"""The order of an epoch's rows, drawn on the host and in programs: the same."""

from functools import partial

import jax
import numpy as np
import pytest

from tests.helpers import OrdersInPrograms, make_arrays
from tests.lanes.test_same_numbers import point
from tuner.lanes.engine import Engine
from tuner.lanes.orders import epoch_order, traced_order
from tuner.models import MLP


@pytest.mark.parametrize(
    ("count", "most", "steps", "batch_size"), [(7, 7, 3, 4), (90, 100, 12, 8), (1150, 1151, 36, 32)]
)
def test_programs_draw_the_order_of_the_host(count, most, steps, batch_size):
    rng = np.random.default_rng(0)
    draw = jax.jit(partial(traced_order, steps=steps, batch_size=batch_size))
    for epoch in (0, 1, 19):
        words = rng.integers(0, 2**32, 2, np.uint32)
        rows = rng.permutation(5000)[:most].astype(np.int32)
        expected = epoch_order(words, epoch, rows[:count], steps, batch_size)
        assert np.array_equal(draw(words, np.int32(epoch), rows, np.int32(count)), expected)


def test_rows_that_are_not_of_the_fold_stay_out(monkeypatch):
    """Also where the bits of all rows are the highest, as those of the rows that do not count."""
    monkeypatch.setattr("tuner.lanes.orders.counter_bits", lambda *_: np.full((1, 9), 0xFFFFFFFF, np.uint32))
    order = traced_order(np.zeros(2, np.uint32), np.int32(0), np.arange(9, dtype=np.int32), np.int32(5), 2, 3)
    assert np.array_equal(order, [[0, 1, 2], [3, 4, 0]])


@pytest.mark.parametrize("chunk", [1, 3])
@pytest.mark.parametrize("rows", [90, 92])  # folds of 24 rows each, and uneven ones
def test_a_training_is_the_same_with_either(chunk, rows):
    """Bit by bit, the refit on all rows too, whose order is longer."""
    found = []
    for kind in ({}, {"kind": OrdersInPrograms}):
        engine = Engine(MLP, make_arrays(rows=rows, **kind), slots=4, chunk=chunk, seed=0)
        for trial in range(4):
            engine.add(trial, point(size=3 + trial))
        assert engine.seat() == {}
        results = [engine.advance() for _ in range(3)]
        found.append([results[-1][trial].train_loss.tolist() for trial in range(4)])
        assert (engine.population_of(0).program.layout.rows is None) == (not kind)
        found[-1].append(engine.refit(2, point(size=5)).train_loss.tolist())
    assert found[0] == found[1]
