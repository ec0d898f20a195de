"""How sure a study's result is, from the values of its trials on the folds and of its winner on the test rows."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

LEVEL = 0.95
_RESAMPLES = 2_000
_ROW_RESAMPLES = 10_000


@dataclass(frozen=True)
class Interval:
    """A mean and the interval around it."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """How much better one trial is than another on the same folds, and how probable it is by chance.

    difference: positive where the first one is better. p: of the two-sided test; NaN where the folds do not differ.
    """

    difference: Interval
    p: float


def corrected_interval(values: ArrayLike, ratio: float) -> Interval:
    """The mean over folds and its interval, corrected for the training rows that folds share.

    The variance of the mean is taken as ``(1/k + ratio) s²``: with s²/k, as if folds were independent, the interval is
    far too short (Nadeau and Bengio, "Inference for the generalization error", 2003, section 3, equation 9).

    Args:
        values: of the folds, [k].
        ratio: validation rows over training rows of a fold: 1/(k-1) in k-fold cross-validation.

    Raises:
        ValueError: there are less than two folds.
    """
    from scipy.stats import t

    mean, error, freedom = _mean_and_error(values, ratio)
    half = float(t.ppf((1 + LEVEL) / 2, freedom)) * error
    return Interval(mean, mean - half, mean + half)


def corrected_t_test(ours: ArrayLike, theirs: ArrayLike, ratio: float, *, maximize: bool) -> Comparison:
    """The corrected resampled t-test of two trials on the same folds (Nadeau and Bengio, 2003, section 3).

    Args:
        ours: values of the folds, [k].
        theirs: those of the other trial, [k].
        ratio: as for ``corrected_interval``.
        maximize: whether larger values are better.

    Raises:
        ValueError: there are less than two folds, or not the same number.
    """
    from scipy.stats import t

    better = np.subtract(ours, theirs) * (1 if maximize else -1)
    mean, error, freedom = _mean_and_error(better, ratio)
    p = 2 * float(t.sf(abs(mean) / error, freedom)) if error else math.nan
    return Comparison(corrected_interval(better, ratio), p)


def optimism(values: ArrayLike, *, maximize: bool, seed: int = 0) -> float:
    """By how much the best trial's mean over folds flatters it, for it was chosen for being the best.

    The choice is repeated on folds drawn with replacement, and each time the chosen trial is judged on the folds that
    were not drawn; what is said is how much better the winners look where they were chosen than where they were not
    (Tsamardinos et al., "Bootstrapping the out-of-sample predictions for efficient and accurate cross-validation",
    2018, algorithm 3, with folds in the place of rows).

    Args:
        values: of complete trials on folds, [trials, k].
        maximize: whether larger values are better.
        seed: of the draws.

    Returns:
        The difference, positive where the result is optimistic, 0 at least.

    Raises:
        ValueError: there are less than two folds.
    """
    found = np.asarray(values, float) * (1 if maximize else -1)
    folds = found.shape[1]
    if folds < 2:
        raise ValueError("one fold tells nothing")
    drawn = np.random.default_rng(seed).integers(folds, size=(_RESAMPLES, folds))
    counts = np.stack([np.bincount(row, minlength=folds) for row in drawn])
    counts = counts[(counts == 0).any(1)]
    inside = found @ counts.T / folds  # [trials, resamples]
    winners = inside.argmax(0)
    left_out = counts == 0
    outside = (found[winners] * left_out).sum(1) / left_out.sum(1)
    return max(0.0, float((inside.max(0) - outside).mean()))


def bootstrapped(counts: ArrayLike, metric: Callable[[Mapping[str, Any]], Any], seed: int = 0) -> Interval:
    """A metric of a confusion matrix and its percentile interval over test rows drawn with replacement.

    Args:
        counts: [true class, predicted class].
        metric: of ``{"confusion": [..., k, k], "rows": [...]}``.
        seed: of the draws.
    """
    confusion = np.asarray(counts)
    rows = int(confusion.sum())
    drawn = np.random.default_rng(seed).multinomial(rows, confusion.ravel() / rows, size=_ROW_RESAMPLES)
    values = _of(metric, drawn.reshape(-1, *confusion.shape), rows)
    low, high = np.nanquantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(_of(metric, confusion, rows)), float(low), float(high))


def _of(metric: Callable[[Mapping[str, Any]], Any], confusion: Any, rows: int) -> Any:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(metric({"confusion": confusion, "rows": np.asarray(rows)}))


def _mean_and_error(values: ArrayLike, ratio: float) -> tuple[float, float, int]:
    found = np.asarray(values, float)
    folds = len(found)
    if folds < 2:
        raise ValueError("one fold tells nothing")
    return float(found.mean()), math.sqrt((1 / folds + ratio) * float(found.var(ddof=1))), folds - 1


def fold_values(trials: Sequence[Sequence[float]]) -> np.ndarray:
    """Trials on folds, [trials, k], of those that were measured on as many folds as the first one and are finite."""
    folds = len(trials[0]) if trials else 0
    return np.asarray([row for row in trials if len(row) == folds and np.isfinite(row).all()], float)
