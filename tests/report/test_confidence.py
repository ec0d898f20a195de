"""The statistics of a report, against scipy, against numbers worked out by hand, and against what is true by making."""

import math

import numpy as np
import pytest
from scipy import stats

from tuner.report.confidence import bootstrapped, corrected_interval, corrected_t_test, fold_values, optimism
from tuner.training.metrics import CLASSIFICATION

OURS, THEIRS = [0.95, 0.93, 0.96, 0.94, 0.97], [0.93, 0.93, 0.93, 0.92, 0.95]


def test_without_shared_rows_it_is_the_paired_t_test():
    found = corrected_t_test(OURS, THEIRS, 0.0, maximize=True)
    assert found.p == pytest.approx(stats.ttest_rel(OURS, THEIRS).pvalue)
    low, high = stats.ttest_rel(OURS, THEIRS).confidence_interval()
    assert (found.difference.low, found.difference.high) == pytest.approx((low, high))


def test_the_correction_by_hand():
    better = np.subtract(OURS, THEIRS)
    t = better.mean() / math.sqrt((1 / 5 + 1 / 4) * better.var(ddof=1))
    assert corrected_t_test(OURS, THEIRS, 1 / 4, maximize=True).p == pytest.approx(2 * stats.t.sf(t, 4))
    interval = corrected_interval(OURS, 1 / 4)
    half = stats.t.ppf(0.975, 4) * math.sqrt(0.45) * np.std(OURS, ddof=1)
    assert (interval.mean, interval.high - interval.mean) == pytest.approx((0.95, half))


def test_better_is_positive_in_either_direction():
    assert corrected_t_test(OURS, THEIRS, 0.25, maximize=True).difference.mean == pytest.approx(0.018)
    assert corrected_t_test(OURS, THEIRS, 0.25, maximize=False).difference.mean == pytest.approx(-0.018)
    assert math.isnan(corrected_t_test(OURS, OURS, 0.25, maximize=True).p)


def test_it_finds_a_difference_by_chance_as_often_as_it_says():
    """Folds that share rows: each fold's value has a part in common with each other's, as the correction assumes."""
    rng, folds, found = np.random.default_rng(0), 5, 0
    for _ in range(2_000):
        shared = math.sqrt(0.2) * rng.normal()
        values = shared + math.sqrt(0.8) * rng.normal(size=folds)
        found += corrected_t_test(values, np.zeros(folds), 0.25, maximize=True).p < 0.05
    assert 0.03 < found / 2_000 < 0.07


def test_one_fold_tells_nothing():
    for call in (lambda: corrected_interval([1.0], 0.0), lambda: optimism([[1.0], [2.0]], maximize=True)):
        with pytest.raises(ValueError, match="one fold"):
            call()


@pytest.mark.parametrize("maximize", [True, False])
def test_the_optimism_of_trials_that_are_all_alike_is_all_that_the_best_is_above_them(maximize):
    rng, found, true = np.random.default_rng(1), [], []
    for seed in range(20):
        values = 0.9 + 0.02 * rng.normal(size=(200, 5))
        best = values.mean(1).max() if maximize else values.mean(1).min()
        true.append(abs(best - 0.9))
        found.append(optimism(values, maximize=maximize, seed=seed))
    assert np.mean(true) > 0.02
    assert np.mean(found) == pytest.approx(np.mean(true), rel=0.5)


def test_a_winner_that_is_better_by_far_is_not_flattered():
    values = 0.5 + 0.001 * np.random.default_rng(2).normal(size=(50, 5))
    values[7] += 0.4
    assert optimism(values, maximize=True) < 0.001


@pytest.mark.parametrize("metric", ["accuracy", "f1"])
def test_an_interval_over_test_rows(metric):
    confusion = np.array([[45, 5], [10, 40]])
    found = bootstrapped(confusion, CLASSIFICATION[metric].of)
    rng = np.random.default_rng(3)
    cells = np.repeat([0, 1, 2, 3], confusion.ravel())
    drawn = [np.bincount(rng.choice(cells, 100), minlength=4).reshape(2, 2) for _ in range(4_000)]
    values = [float(CLASSIFICATION[metric].of({"confusion": one, "rows": np.asarray(100)})) for one in drawn]
    assert (found.low, found.high) == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=0.011)
    assert found.low < found.mean < found.high
    if metric == "accuracy":
        assert found.mean == 0.85


def test_trials_of_other_folds_and_diverged_ones_are_left_out():
    assert fold_values([[1, 2], [3, math.nan], [4], [5, 6]]).tolist() == [[1, 2], [5, 6]]
    assert fold_values([]).size == 0
