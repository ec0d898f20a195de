import numpy as np
import pytest
from sklearn.model_selection import KFold, LeaveOneGroupOut, ShuffleSplit, TimeSeriesSplit

from tuner.data import Dataset, datasets, make_splits, prepare
from tuner.errors import InputError


def classification(rows=103, classes=3, **options):
    return prepare(Dataset(np.arange(rows)[:, None], np.arange(rows) % classes, "classification", **options))


def regression(rows=103, **options):
    return prepare(Dataset(np.arange(rows)[:, None], np.arange(rows), "regression", **options))


GROUPS = np.arange(103) // 6
KINDS = {
    "classes": classification,
    "numbers": regression,
    "classes in groups": lambda: classification(groups=GROUPS),
    "numbers in groups": lambda: regression(groups=GROUPS),
    "own test": lambda: classification(test=([[1], [2]], [0, 1])),
}


def same(one, other):
    pairs = zip(one.folds, other.folds, strict=True)
    return np.array_equal(one.test, other.test) and all(np.array_equal(a.validation, b.validation) for a, b in pairs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [2, 5, 7])
def test_no_example_is_lost_or_seen_twice(kind, count):
    prepared = KINDS[kind]()
    splits = make_splits(prepared, count, 0.2, 0)
    assert len(splits.folds) == count
    assert sorted([*splits.rest, *splits.test]) == list(range(len(prepared.inputs)))
    assert sorted(np.concatenate([fold.validation for fold in splits.folds])) == splits.rest.tolist()
    for fold in splits.folds:
        assert sorted([*fold.train, *fold.validation]) == splits.rest.tolist()
        assert fold.train.dtype == fold.validation.dtype == np.int32
    assert splits.rest.dtype == splits.test.dtype == np.int32


def test_folds_are_unequal_where_rows_do_not_divide():
    sizes = {len(fold.validation) for fold in make_splits(regression(), 5, 0.2, 0).folds}
    assert sizes == {16, 17}


@pytest.mark.parametrize("kind", ["classes in groups", "numbers in groups"])
@pytest.mark.parametrize("seed", range(5))
def test_groups_stand_on_one_side(kind, seed):
    prepared = KINDS[kind]()
    splits = make_splits(prepared, 4, 0.2, seed)
    sides = [(splits.rest, splits.test), *((fold.train, fold.validation) for fold in splits.folds)]
    for one, other in sides:
        assert not set(prepared.groups[one]) & set(prepared.groups[other])


@pytest.mark.parametrize("kind", KINDS)
def test_seed_moves_the_splits_and_nothing_else_does(kind):
    prepared = KINDS[kind]()
    np.random.seed(1)  # noqa: NPY002
    splits = make_splits(prepared, 5, 0.2, 0)
    np.random.seed(2)  # noqa: NPY002
    assert same(splits, make_splits(prepared, 5, 0.2, 0))
    moved = make_splits(prepared, 5, 0.2, 1)
    assert not same(splits, moved)
    assert np.array_equal(splits.test, moved.test) == bool(prepared.own_test)


def test_folds_do_not_move_the_test_set():
    prepared = classification()
    assert np.array_equal(make_splits(prepared, 5, 0.2, 0).test, make_splits(prepared, 3, 0.2, 0).test)


def test_proportions_of_classes_are_kept():
    prepared = prepare(datasets.breast_cancer)
    splits = make_splits(prepared, 5, 0.2, 0)
    share = prepared.targets.mean()
    assert len(splits.test) == 114
    for rows in [splits.test, *(fold.validation for fold in splits.folds)]:
        assert abs(prepared.targets[rows].mean() - share) < 0.01


def test_own_test_part_is_the_test_set():
    prepared = classification(test=(np.zeros((7, 1)), np.zeros(7, int)))
    splits = make_splits(prepared, 5, "ignored", 0)
    assert splits.test.tolist() == list(range(103, 110))
    assert splits.rest.tolist() == list(range(103))


def test_a_splitter_splits_the_rest():
    prepared = regression()
    splits = make_splits(prepared, TimeSeriesSplit(3), 0.2, 0)
    assert len(splits.folds) == 3
    for fold in splits.folds:
        assert set(fold.train) | set(fold.validation) <= set(splits.rest)
        assert fold.train.max() < fold.validation.min()


def test_a_splitter_gets_inputs_targets_and_groups_of_the_rest():
    prepared = classification(classes=4, groups=GROUPS)
    splits = make_splits(prepared, LeaveOneGroupOut(), 0.2, 0)
    assert len(splits.folds) == len(set(GROUPS[splits.rest]))
    for fold in splits.folds:
        assert len(set(GROUPS[fold.validation])) == 1

    def split(inputs, targets, groups):
        np.testing.assert_array_equal(inputs, prepared.inputs[splits.rest])
        np.testing.assert_array_equal(targets, prepared.targets[splits.rest])
        np.testing.assert_array_equal(groups, prepared.groups[splits.rest])
        yield [0], [1]

    fold = make_splits(prepared, Yields(split), 0.2, 0).folds[0]
    assert (fold.train[0], fold.validation[0]) == tuple(splits.rest[:2])


class Yields:
    def __init__(self, split):
        self.split = split


def yields(*pairs):
    return Yields(lambda inputs, targets, groups: iter(pairs))


RARE = prepare(Dataset(np.zeros((40, 1)), ["common"] * 36 + ["rare"] * 4, "classification"))
ALONE = prepare(Dataset(np.zeros((40, 1)), ["common"] * 39 + ["alone"], "classification"))
LIMITED = prepare(Dataset(np.zeros((9, 1)), list("aaabbbccc"), "classification"), limit=2)
ERRORS = {
    "zero": ((regression, 0), ["no folds: 0", "folds=2"]),
    "one": ((regression, 1), ["no folds: 1", "ShuffleSplit"]),
    "negative": ((regression, -3), ["no folds: -3"]),
    "bool": ((regression, True), ["neither a number nor a splitter: True"]),
    "float": ((regression, 5.0), ["neither a number nor a splitter: 5.0"]),
    "text": ((regression, "5"), ["neither a number nor a splitter: 5"]),
    "class": ((regression, KFold), ["neither a number nor a splitter", "KFold", "no class"]),
    "too many": ((lambda: regression(10), 9), ["more folds than rows outside the test set: 9", "8 rows"]),
    "few groups": ((lambda: regression(groups=GROUPS // 6), 3), ["more folds than groups", "3", "2 groups"]),
    "rare class": ((lambda: RARE, 5), ["class 'rare' has too few examples for 5 folds: 3", "needs 5"]),
    "lone class": ((lambda: ALONE, 2), ["class 'alone' has too few examples for a test set and folds: 1"]),
    "lost class": ((lambda: LIMITED, 2), ["has too few examples", ": 0."]),
    "nothing": ((regression, yields()), ["yields no folds"]),
    "no pair": ((regression, yields([1])), ["splitter in folds fails", "unpack"]),
    "range": ((regression, yields(([0, 82], [1]))), ["fold 0, train: a row number out of range: 82", "82 rows"]),
    "below": ((regression, yields(([0], [1]), ([0], [-1]))), ["fold 1, validation", "out of range: -1"]),
    "empty train": ((regression, yields(([], [1]))), ["fold 0, train: no rows"]),
    "empty validation": ((regression, yields(([1], []))), ["fold 0, validation: no rows"]),
    "mask": ((regression, yields(([True, False], [1]))), ["fold 0, train: no row numbers", "bool"]),
    "overlap": ((regression, yields(([0, 1, 2], [2, 3]))), ["fold 0: train and validation overlap: 1 rows"]),
    "no groups": ((regression, LeaveOneGroupOut()), ["splitter in folds fails", "groups"]),
    "no seed": ((regression, ShuffleSplit(3)), ["differently each time", "random_state"]),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_is_wrong_with_folds_is_said(name):
    (make, folds), parts = ERRORS[name]
    with pytest.raises(InputError) as caught:
        make_splits(make(), folds, 0.2, 0)
    assert [part for part in parts if part not in str(caught.value)] == [], str(caught.value)


@pytest.mark.parametrize("fraction", [0, 1, 0.0, 1.0, -0.1, 1.5, float("nan"), True, "0.2", None])
def test_test_fraction_lies_between_0_and_1(fraction):
    with pytest.raises(InputError, match="test_fraction is out of range"):
        make_splits(regression(), 5, fraction, 0)


def test_test_set_needs_one_row_of_each_class():
    with pytest.raises(InputError, match=r"no test set can be cut off with test_fraction: 0\.01"):
        make_splits(classification(), 5, 0.01, 0)


@pytest.mark.parametrize("seed", [-1, 2**32, 0.5, True, None])
def test_impossible_seed(seed):
    with pytest.raises(InputError, match="split_seed is no seed"):
        make_splits(regression(), 5, 0.2, seed)
