"""Data orders, placement, and what the engine counts."""

import numpy as np
import pytest

from tests.helpers import make_arrays
from tuner import Width
from tuner.lanes.draws import lane_words, order_words
from tuner.lanes.engine import Engine
from tuner.lanes.orders import epoch_order
from tuner.lanes.placement import caps_between, first_free, tightest_cap
from tuner.lanes.usage import Usage
from tuner.models import MLP


def point(size=5, cap=8, **changes):
    return {"hidden": [Width(size, cap)], "learning_rate": 0.02, "batch_size": 16, **changes}


def engine_of(arrays, **options):
    return Engine(MLP, arrays, **{"slots": 4, "seed": 0, **options})


# Data order


def words_of(seed, trial, fold):
    return order_words(lane_words(seed, trial, fold + 1)[fold])


@pytest.mark.parametrize(("count", "batch_size"), [(37, 8), (32, 8), (5, 5), (9, 8), (7, 1)])
def test_an_epoch_is_a_permutation_filled_up_from_its_start(count, batch_size):
    rows = np.arange(100, 100 + count, dtype=np.int32)
    steps = -(-count // batch_size)
    order = epoch_order(words_of(0, 1, 2), 3, rows, steps, batch_size)
    assert order.shape == (steps, batch_size)
    assert order.dtype == np.int32
    flat = order.ravel()
    assert sorted(flat[:count]) == rows.tolist()
    assert np.array_equal(flat[count:], flat[: steps * batch_size - count])


def test_an_order_depends_on_key_and_epoch():
    rows = np.arange(50, dtype=np.int32)
    orders = {
        epoch_order(words_of(*lane), epoch, rows, 7, 8).tobytes()
        for lane in [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]
        for epoch in range(5)
    }
    assert len(orders) == 20


def test_an_order_of_other_batches_is_the_same_permutation():
    words, rows = words_of(0, 0, 0), np.arange(48, dtype=np.int32)
    assert np.array_equal(epoch_order(words, 0, rows, 6, 8).ravel(), epoch_order(words, 0, rows, 3, 16).ravel())


def test_every_row_comes_anywhere_alike_often():
    words, rows = words_of(0, 0, 0), np.arange(10, dtype=np.int32)
    counts = np.zeros((10, 10))
    for epoch in range(2000):
        counts[np.arange(10), epoch_order(words, epoch, rows, 1, 10)[0]] += 1
    assert np.abs(counts - 200).max() < 5 * np.sqrt(200)


# Placement


@pytest.mark.parametrize(
    ("size", "cap", "expected"),
    [
        (1, 256, 1),
        (2, 256, 2),
        (3, 256, 4),
        (16, 256, 16),
        (17, 256, 24),
        (25, 256, 32),
        (48, 256, 48),
        (49, 256, 56),
        (128, 256, 128),
        (129, 256, 144),
        (193, 256, 208),
        (257, 1024, 288),
        (200, 200, 200),
        (129, 140, 140),
        (5, 6, 6),
    ],
)
def test_the_cap_of_a_size(size, cap, expected):
    assert tightest_cap(Width(size, cap)) == expected


def test_caps_between():
    assert caps_between([Width(16, 256), Width(256, 256)]) == 23
    assert caps_between([Width(121, 256), Width(128, 256)]) == 1
    assert caps_between([Width(4, 6), Width(6, 6)]) == 2
    for low in range(1, 40):
        for high in range(low, 41):
            widths = [Width(size, 40) for size in range(low, high + 1)]
            assert caps_between([widths[0], widths[-1]]) == len({tightest_cap(width) for width in widths})


def test_the_first_free_place():
    assert first_free(set(), 3) == (0, 0)
    assert first_free({(0, 0), (0, 2)}, 3) == (0, 1)
    assert first_free({(0, 0), (0, 1), (0, 2)}, 3) == (1, 0)
    assert first_free({(1, 0)}, 1) == (0, 0)


def test_sizes_share_a_program_and_statics_do_not(arrays):
    engine = engine_of(arrays, slots=6)
    for trial, hyperparameters in enumerate(
        [
            point(5),
            point(8, learning_rate=1),
            point(4),
            point(activation="tanh"),
            point(batch_size=8),
            point(weight_decay=0.1),
        ]
    ):
        engine.add(trial, hyperparameters)
    assert engine.seat() == {}
    assert engine.usage.programs == 4
    assert list(engine.advance()) == [0, 1, 2, 3, 4, 5]


# What is counted


def test_on_a_cpu_no_lane_is_idle(arrays):
    engine = engine_of(arrays, slots=6)
    for trial in range(3):
        engine.add(trial, point())
    assert engine.seat() == {}
    engine.advance()
    engine.remove(1)
    engine.advance()
    assert (engine.usage.busy_lane_epochs, engine.usage.lane_epochs) == (15, 15)
    assert engine.usage.occupancy == 1.0


def test_idle_places_of_a_chunk_are_counted(arrays):
    engine = engine_of(arrays, chunk=3)
    for trial in range(4):
        engine.add(trial, point())
    assert engine.seat() == {}
    engine.advance()  # four trials in two chunks of three
    assert engine.usage.occupancy == 4 / 6
    engine.remove(3)  # empties the second chunk
    engine.remove(0)
    engine.advance()
    assert (engine.usage.busy_lane_epochs, engine.usage.lane_epochs) == ((4 + 2) * 3, (6 + 3) * 3)


def test_mask_tax_is_the_share_of_masked_multiply_adds(arrays):
    columns, outputs = 5, 3
    engine = engine_of(arrays, slots=6)
    engine.add(0, point(5))
    assert engine.seat() == {}
    engine.advance()
    assert engine.usage.mask_tax == pytest.approx(1 - (columns * 5 + 5 * outputs) / (columns * 8 + 8 * outputs))
    engine.remove(0)
    engine.add(1, point(8))
    assert engine.seat() == {}
    engine.advance()
    assert engine.usage.mask_tax == pytest.approx(1 - (5 + 8) / 16)


def test_nothing_run_is_no_waste():
    assert (Usage().occupancy, Usage().mask_tax) == (1.0, 0.0)


def test_an_empty_engine_advances_to_nothing(arrays):
    engine = engine_of(arrays)
    assert engine.seat() == {}
    assert engine.advance() == {}
    engine.add(0, point())
    engine.close()
    assert engine.advance() == {}


def test_results_come_in_trial_order_and_count_epochs(arrays):
    engine = engine_of(arrays, chunk=2)
    for trial in (5, 2, 9):
        engine.add(trial, point())
    assert engine.seat() == {}
    assert list(engine.advance()) == [2, 5, 9]
    engine.add(3, point())
    assert engine.seat() == {}
    results = engine.advance()
    assert {trial: result.epoch for trial, result in results.items()} == {2: 2, 3: 1, 5: 2, 9: 2}
    assert all(result.train_loss.shape == (3,) for result in results.values())
    assert set(results[2].metrics) == {"loss", "accuracy", "precision", "recall", "f1"}


@pytest.mark.parametrize("chunk", [1, 2])
def test_a_refit_trains_on_all_rows_and_tells_the_test_rows(chunk):
    arrays = make_arrays(epochs=6)
    engine = engine_of(arrays, chunk=chunk)
    engine.add(0, point())
    assert engine.seat() == {}
    result = engine.refit(0, point())
    assert result.epoch == 6
    assert result.metrics["accuracy"].shape == (3,)
    tested = len(arrays.final.validation)
    hits = result.metrics["accuracy"] * tested
    np.testing.assert_allclose(hits, np.round(hits), atol=1e-9)
    assert engine.usage.programs == 1
    again = engine.refit(0, point())
    assert np.array_equal(result.train_loss, again.train_loss)


def test_evaluation_in_several_batches_is_evaluation_in_one(monkeypatch):
    expected = engine_of(make_arrays())
    monkeypatch.setattr("tuner.lanes.arrays._EVALUATION_ROWS", 7)
    batched = engine_of(make_arrays())
    for engine in (expected, batched):
        engine.add(0, point())
        assert engine.seat() == {}
    one, other = expected.advance()[0], batched.advance()[0]
    for name, values in one.metrics.items():
        np.testing.assert_allclose(values, other.metrics[name], rtol=1e-5)
