import hashlib
import pickle

import numpy as np
import pandas as pd
import pytest

from tuner.data import Dataset, prepare
from tuner.data import datasets as sets

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


@pytest.mark.parametrize(
    ("name", "shape", "outputs", "rows"),
    [
        ("digits", (8, 8, 1), 10, 1797),
        ("breast_cancer", (30,), 1, 569),
        ("wine", (13,), 3, 178),
        ("iris", (4,), 3, 150),
    ],
)
def test_real_classification_data(name, shape, outputs, rows):
    prepared = prepare(getattr(sets, name))
    assert (prepared.spec.input_shape, prepared.spec.outputs, len(prepared.inputs)) == (shape, outputs, rows)
    assert prepared.inputs.dtype == np.float64
    assert prepared.targets.dtype == np.int32
    assert prepared.labels == tuple(range(max(outputs, 2)))
    assert prepared.is_table == (len(shape) == 1)
    assert prepared.columns is None or len(prepared.columns) == shape[0]


def test_digits_lie_between_0_and_1():
    inputs = prepare(sets.digits).inputs
    assert (inputs.min(), inputs.max()) == (0, 1)


def test_real_regression_data():
    prepared = prepare(sets.diabetes)
    assert prepared.targets.shape == (442, 1)
    assert prepared.targets.dtype == np.float64
    assert (prepared.spec.outputs, prepared.labels, prepared.columns[2]) == (1, None, "bmi")
    assert prepared.inputs[:, 2].mean() > 20  # kg/m2, not scaled over all rows


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        (["b", "a", "b"], ("a", "b")),
        (np.array(["b", "a", "b"]), ("a", "b")),
        (pd.Series(["b", "a", "b"]), ("a", "b")),
        (pd.Series(["b", "a", "b"], dtype="category"), ("a", "b")),
        ([True, False, True], (False, True)),
        ([7, -1, 7], (-1, 7)),
        ([7.0, 2.0, 7.0], (2, 7)),
        (np.array([[7], [2], [7]], np.uint8), (2, 7)),
    ],
)
def test_labels_become_sorted_indexes(given, labels):
    prepared = prepare(classes(X[:3], given))
    assert prepared.targets.tolist() == [1, 0, 1]
    assert prepared.labels == labels
    assert [type(label) for label in prepared.labels] == [type(label) for label in labels]


def test_types_of_inputs():
    images = np.zeros((6, 4, 4, 1), np.uint8)
    assert prepare(classes(images)).inputs.dtype == np.uint8
    assert prepare(classes(images.astype(np.float32))).inputs.dtype == np.float32
    assert prepare(classes(images.astype(np.float16))).inputs.dtype == np.float64
    assert prepare(classes(X.astype(np.float32))).inputs.dtype == np.float64
    assert prepare(classes(X.astype(np.uint8))).inputs.dtype == np.float64
    assert prepare(classes(X > 3)).inputs.dtype == np.float64


def test_a_frame_names_its_columns():
    assert prepare(classes(pd.DataFrame(X, columns=["a", "b"]))).columns == ("a", "b")


def test_targets_of_several_columns():
    prepared = prepare(numbers(targets=np.zeros((6, 3))))
    assert (prepared.spec.outputs, prepared.targets.shape) == (3, (6, 3))


def test_own_test_part_comes_last():
    prepared = prepare(classes(targets=list("ababab"), test=(X[:2] + 100, ["b", "b"]), groups=list("xxyyzz")))
    assert prepared.own_test == 2
    assert prepared.inputs.shape == (8, 2)
    assert prepared.inputs[6:].min() == 100
    assert prepared.targets.tolist() == [0, 1, 0, 1, 0, 1, 1, 1]
    assert prepared.groups.tolist() == list("xxyyzz")


def test_limit_is_stratified_and_keeps_order_and_groups():
    targets = np.repeat([0, 1, 2], [600, 300, 100])
    inputs = np.arange(1000.0)[:, None]
    prepared = prepare(classes(inputs, targets, groups=np.arange(1000), test=(inputs[:5], targets[:5])), limit=50)
    assert np.abs(np.bincount(prepared.targets[:50]) - [30, 15, 5]).max() <= 1
    rows = prepared.inputs[:50, 0]
    assert (np.diff(rows) > 0).all()
    assert (np.diff(rows) > 1).any()
    np.testing.assert_array_equal(prepared.groups, rows)
    np.testing.assert_array_equal(prepared.targets[:50], targets[rows.astype(int)])
    assert (len(prepared.inputs), prepared.own_test) == (55, 5)


def test_limit_loses_no_class_and_grows():
    data = classes(np.arange(1000.0)[:, None], np.repeat([0, 1, 2], [990, 8, 2]))
    small, large = prepare(data, limit=10), prepare(data, limit=100)
    assert set(small.targets) == {0, 1, 2}
    assert set(small.inputs[:, 0]) < set(large.inputs[:, 0])


def test_limit_for_regression_is_random_and_fixed():
    data = numbers(np.arange(100.0)[:, None], np.arange(100.0))
    prepared = prepare(data, limit=10)
    assert prepared.digest == prepare(data, limit=10).digest
    assert prepared.targets.max() > 50
    assert prepare(data, limit=100).digest == prepare(data).digest


def test_digest_sees_every_change():
    test = (X, Y)
    variants = [
        classes(),
        classes(changed(X, (5, 1), 11.000000001)),
        classes(targets=changed(Y, 5, 0, int)),
        classes(targets=changed(Y, 5, 2, int)),
        classes(targets=Y.astype(str)),
        classes(groups=Y),
        classes(groups=changed(Y, 5, 0, int)),
        classes(test=test),
        classes(test=(changed(X, (5, 1), 0), Y)),
        classes(np.concatenate([X, X]), np.concatenate([Y, Y])),
        classes(X.reshape(6, 2, 1)),
        numbers(),
    ]
    digests = [prepare(variant).digest for variant in variants]
    assert len(set(digests)) == len(variants)
    assert all(len(digest) == len(hashlib.sha256().hexdigest()) for digest in digests)
    assert prepare(lambda: classes(X.copy(order="F"))).digest == digests[0]


def test_prepared_can_be_pickled():
    prepared = prepare(sets.wine)
    assert pickle.loads(pickle.dumps(prepared)).digest == prepared.digest
