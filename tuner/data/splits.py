"""The test set and the folds, decided once per experiment."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuner.data.checks import is_whole
from tuner.data.dataset import Prepared
from tuner.errors import InputError

Rows = NDArray[np.int32]
_Pair = tuple[Any, Any]


@dataclass(frozen=True, eq=False)
class Fold:
    """Row numbers into `Prepared`: train int32 [n], validation int32 [m], without a common row."""

    train: Rows
    validation: Rows


@dataclass(frozen=True, eq=False)
class Splits:
    """Row numbers into `Prepared`: the folds, all rows that are not test (``rest``), the test rows; int32."""

    folds: tuple[Fold, ...]
    rest: Rows
    test: Rows


def make_splits(prepared: Prepared, folds: object, test_fraction: object, split_seed: object) -> Splits:
    """Cuts off the test set, then splits the rest into folds; the same arguments give the same splits.

    Args:
        prepared: the data.
        folds: how many (2 or more), or any object with scikit-learn's ``split(X, y, groups)``, which gets the
            arrays of the rest.
        test_fraction: between 0 and 1, the part of the rows to cut off (of the groups, where there are some);
            ignored where the data has its own test part.
        split_seed: 0 to 2**32 - 1.

    Raises:
        InputError: a bad argument, too few examples of a class or too few groups, or folds that overlap.
    """
    if not is_whole(split_seed) or not 0 <= split_seed < 2**32:
        raise InputError("split_seed is no seed", split_seed, "Give a whole number from 0 to 2**32 - 1.")
    has_splitter = _is_splitter(folds)
    count = 0 if has_splitter else _checked_count(folds)
    rest, test = _cut_test(prepared, test_fraction, int(split_seed))
    pairs = _own_pairs(prepared, folds, rest) if has_splitter else _pairs(prepared, count, rest, int(split_seed))
    checked = tuple(_fold(number, pair, rest) for number, pair in enumerate(pairs))
    if not checked:
        raise InputError("the splitter yields no folds", folds, "It must yield at least one (train, validation).")
    return Splits(checked, rest, test)


def _is_splitter(folds: object) -> bool:
    return callable(getattr(folds, "split", None)) and not isinstance(folds, (str, bytes, type))


def _checked_count(folds: object) -> int:
    if not is_whole(folds):
        fix = "Give a whole number from 2 on, or an object (no class) with scikit-learn's split(X, y, groups)."
        raise InputError("folds are neither a number nor a splitter", folds, fix)
    if folds < 2:
        fix = "Cross-validation needs folds=2 or more; for a single split give ShuffleSplit(1, random_state=0)."
        raise InputError("no folds", folds, fix)
    return int(folds)


def _cut_test(prepared: Prepared, fraction: object, seed: int) -> tuple[Rows, Rows]:
    rows = np.arange(len(prepared.inputs), dtype=np.int32)
    if prepared.own_test:
        return rows[: -prepared.own_test], rows[-prepared.own_test :]
    if isinstance(fraction, bool) or not isinstance(fraction, (float, int, np.floating)) or not 0 < fraction < 1:
        fix = "Give a number between 0 and 1, both excluded: 0.2 keeps a fifth of the rows for the final test."
        raise InputError("test_fraction is out of range", fraction, fix)
    _check_classes(prepared, rows, 2, "a test set and folds")
    splitter = _test_splitter(prepared, float(fraction), seed)
    try:
        rest, test = next(splitter.split(rows, prepared.targets, prepared.groups))
    except ValueError as error:
        raise InputError("no test set can be cut off with test_fraction", fraction, f"{error}") from error
    return rows[np.sort(rest)], rows[np.sort(test)]


def _test_splitter(prepared: Prepared, fraction: float, seed: int) -> Any:
    from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit, StratifiedShuffleSplit

    options = {"n_splits": 1, "test_size": fraction, "random_state": seed}
    if prepared.groups is not None:
        return GroupShuffleSplit(**options)
    return ShuffleSplit(**options) if prepared.labels is None else StratifiedShuffleSplit(**options)


def _pairs(prepared: Prepared, count: int, rest: Rows, seed: int) -> list[_Pair]:
    groups = None if prepared.groups is None else prepared.groups[rest]
    parts = len(rest) if groups is None else len(np.unique(groups))
    if parts < count:
        name = "rows" if groups is None else "groups"
        raise InputError(f"more folds than {name} outside the test set", count, f"There are {parts} {name}.")
    _check_classes(prepared, rest, count, f"{count} folds")
    return list(_fold_splitter(prepared, count, seed).split(rest, prepared.targets[rest], groups))


def _fold_splitter(prepared: Prepared, count: int, seed: int) -> Any:
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    by_class, by_group = prepared.labels is not None, prepared.groups is not None
    kinds = {(0, 0): KFold, (0, 1): GroupKFold, (1, 0): StratifiedKFold, (1, 1): StratifiedGroupKFold}
    return kinds[by_class, by_group](count, shuffle=True, random_state=seed)


def _check_classes(prepared: Prepared, rows: Rows, needed: int, purpose: str) -> None:
    if prepared.labels is None:
        return
    counts = np.bincount(prepared.targets[rows], minlength=len(prepared.labels))
    rarest = int(np.argmin(counts))
    if counts[rarest] < needed:
        what = f"class {prepared.labels[rarest]!r} has too few examples for {purpose}"
        fix = f"Every class needs {needed} or more: add examples, take fewer folds, or drop the class."
        raise InputError(what, int(counts[rarest]), fix)


def _own_pairs(prepared: Prepared, splitter: Any, rest: Rows) -> list[_Pair]:
    groups = None if prepared.groups is None else prepared.groups[rest]
    inputs, targets = prepared.inputs[rest], prepared.targets[rest]
    try:
        pairs, again = ([(a, b) for a, b in splitter.split(inputs, targets, groups)] for _ in range(2))
    except (ValueError, TypeError) as error:
        raise InputError("the splitter in folds fails", splitter, f"It says: {error}") from error
    if not _same(pairs, again):
        raise InputError("the splitter in folds splits differently each time", splitter, "Give it a random_state.")
    return pairs


def _same(pairs: list[_Pair], others: list[_Pair]) -> bool:
    return len(pairs) == len(others) and all(
        np.array_equal(one, other)
        for pair, also in zip(pairs, others, strict=True)
        for one, other in zip(pair, also, strict=True)
    )


def _fold(number: int, pair: Iterable[Any], rest: Rows) -> Fold:
    train, validation = (
        _rows(f"fold {number}, {name}", part, rest) for name, part in zip(("train", "validation"), pair, strict=True)
    )
    common = np.intersect1d(train, validation)
    if common.size:
        fix = "No row may be trained on and validated with: correct the splitter."
        raise InputError(f"fold {number}: train and validation overlap", f"{common.size} rows", fix)
    return Fold(train, validation)


def _rows(name: str, indexes: Any, rest: Rows) -> Rows:
    array = np.asarray(indexes)
    if array.size == 0:
        raise InputError(f"{name}: no rows", "empty", "Take fewer folds, or correct the splitter.")
    if array.ndim != 1 or array.dtype.kind not in "iu":
        fix = "A splitter yields two arrays of row numbers."
        raise InputError(f"{name}: no row numbers", f"{array.dtype} {array.shape}", fix)
    wrong = array[(array < 0) | (array >= len(rest))]
    if wrong.size:
        fix = f"A splitter gets {len(rest)} rows, numbered from 0."
        raise InputError(f"{name}: a row number out of range", int(wrong[0]), fix)
    chosen: Rows = rest[array]
    return chosen
