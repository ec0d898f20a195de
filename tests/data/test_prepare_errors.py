import numpy as np
import pytest
import scipy.sparse

from tuner.data import Dataset, prepare
from tuner.errors import InputError

X = np.arange(12.0).reshape(6, 2)
Y = np.array([0, 1, 0, 1, 0, 1])


def classes(inputs=X, targets=Y, **options):
    return Dataset(inputs, targets, "classification", **options)


def numbers(inputs=X, targets=Y, **options):
    return Dataset(inputs, targets, "regression", **options)


def changed(array, index, value, dtype=float):
    copy = np.array(array, dtype=dtype)
    copy[index] = value
    return copy


NAMED = ("age", "city")
ERRORS = {
    "no data set": (lambda: 3, ["no Dataset", "int", "tuner.Dataset"]),
    "callable of nothing": (lambda: lambda: None, ["callable returns no Dataset", "NoneType"]),
    "unknown task": (lambda: Dataset(X, Y, "clasification"), ["unknown task", "clasification", "'classification'"]),
    "length": (lambda: classes(targets=Y[:5]), ["inputs and targets differ in length", "6 and 5"]),
    "group length": (lambda: classes(groups=Y[:5]), ["inputs and groups differ in length", "6 and 5"]),
    "test length": (lambda: classes(test=(X, Y[:5])), ["test inputs and test targets differ", "6 and 5"]),
    "no test pair": (lambda: classes(test=X), ["test part is no pair", "test=(inputs, targets)"]),
    "scalar": (lambda: classes(np.float64(1)), ["inputs are no array"]),
    "nothing": (lambda: classes(None), ["inputs are no array", "NoneType"]),
    "no rows": (lambda: classes(X[:0], Y[:0]), ["inputs are empty", "(0, 2)"]),
    "no columns": (lambda: classes(X[:, :0]), ["inputs are empty", "(6, 0)"]),
    "one axis": (lambda: classes(X[:, 0]), ["one axis", "[rows, 1]"]),
    "ragged": (lambda: classes([[1], [1, 2]] * 3), ["inputs are no array", "same shape"]),
    "sparse": (lambda: classes(scipy.sparse.csr_array(X)), ["inputs are sparse", "toarray"]),
    "masked": (lambda: classes(np.ma.masked_equal(X, 3)), ["masked"]),
    "text": (lambda: classes([[1, 2], [3, "Oslo"], *[[1, 2]] * 4]), ["no number in column 2, row 2", "Oslo"]),
    "text, named": (
        lambda: classes(changed(X, (3, 1), "Oslo", object), columns=NAMED),
        ["no number in column 'city', row 4", "Oslo"],
    ),
    "None": (lambda: classes(changed(X, (3, 0), None, object), columns=NAMED), ["missing", "column 'age', row 4"]),
    "objects": (lambda: classes(X.astype(object)), ["array of objects", "astype(float)"]),
    "dates": (lambda: classes(X.astype("datetime64[s]")), ["no real numbers", "datetime64"]),
    "complex": (lambda: classes(X + 1j), ["no real numbers", "complex128"]),
    "NaN": (lambda: classes(changed(X, (4, 1), np.nan), columns=NAMED), ["NaN", "column 'city', row 5"]),
    "infinity": (lambda: classes(changed(X, (4, 0), -np.inf)), ["infinite", "column 1, row 5", "-inf"]),
    "NaN in an image": (
        lambda: classes(changed(np.zeros((6, 3, 3, 1)), (2, 1, 1, 0), np.nan)),
        ["inputs: a missing value (NaN) in row 3 (counted from 1)"],
    ),
    "columns": (lambda: classes(columns=("a",)), ["columns do not fit", "1 names", "(2,)"]),
    "NaN label": (lambda: classes(targets=changed(Y, 2, np.nan)), ["targets: a missing value", "row 3"]),
    "no label": (lambda: classes(targets=["a", "b", None, "a", "b", "a"]), ["targets: a missing value", "row 3"]),
    "NaN in text": (lambda: classes(targets=["a", "b", float("nan"), "a", "b", "a"]), ["missing", "row 3"]),
    "fractions": (lambda: classes(targets=changed(Y, 2, 1.5)), ["no class in row 3", "1.5", "task='regression'"]),
    "infinite label": (lambda: classes(targets=changed(Y, 2, np.inf)), ["no class in row 3", "inf"]),
    "mixed labels": (lambda: classes(targets=np.array([1, "b", 1, 1, 1, 1], object)), ["mix kinds", "int, str"]),
    "dates as labels": (lambda: classes(targets=Y.astype("datetime64[s]")), ["no labels", "datetime64"]),
    "one-hot": (lambda: classes(targets=np.eye(2)[Y]), ["more than one axis", "argmax"]),
    "single class": (lambda: classes(targets=["a"] * 6), ["single class", "a"]),
    "text to regress": (lambda: numbers(targets=list("abcabc")), ["targets: no number in row 1", "a"]),
    "NaN to regress": (lambda: numbers(targets=changed(Y, 2, np.nan)), ["targets: a missing value", "row 3"]),
    "cube to regress": (lambda: numbers(targets=np.zeros((6, 1, 1))), ["too many axes"]),
    "NaN group": (lambda: classes(groups=changed(Y, 2, np.nan)), ["groups: a missing value", "row 3"]),
    "test shape": (lambda: classes(test=(X[:, :1], Y)), ["test part has another form", "(1,)", "(2,)"]),
    "test type": (
        lambda: classes(np.zeros((6, 2, 2), np.uint8), test=(np.zeros((6, 2, 2)), Y)),
        ["another form", "float64", "uint8"],
    ),
    "test NaN": (lambda: classes(test=(changed(X, (1, 1), np.nan), Y)), ["test inputs", "column 2, row 2"]),
    "test class": (lambda: classes(test=(X, Y + 7)), ["class that no other row has", "7", "know 0, 1"]),
    "test outputs": (lambda: numbers(test=(X, np.zeros((6, 2)))), ["number of target columns", "2", "have 1"]),
    "empty test": (lambda: classes(test=(X[:0], Y[:0])), ["test inputs are empty"]),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_is_wrong_is_said(name):
    make, parts = ERRORS[name]
    with pytest.raises(InputError) as caught:
        prepare(make())
    assert [part for part in parts if part not in str(caught.value)] == [], str(caught.value)


@pytest.mark.parametrize("limit", [0, -1, 7, True, 2.0, "3"])
def test_impossible_limit(limit):
    with pytest.raises(InputError, match=r"limit .*: .*Take 1 to 6"):
        prepare(classes(), limit=limit)
