"""Tables of numbers and categories, with holes: every statistic is that of a fold's training rows."""

import numpy as np
import pandas as pd
import pytest

from tuner import InputError, datasets
from tuner.data import prepare, statistics

FRAME = pd.DataFrame(
    {
        "size": [1.0, 2.0, np.nan, 4.0, 5.0, 6.0],
        "kind": ["b", "a", "b", None, "c", "a"],
        "flag": [True, False, True, True, False, False],
        "y": [0.5, 1.5, 2.5, 3.5, 4.5, 5.25],
    }
)


@pytest.fixture(params=["csv", "parquet"])
def write(tmp_path, request):
    def written(frame, name="data"):
        path = tmp_path / f"{name}.{request.param}"
        frame.to_csv(path, index=False) if request.param == "csv" else frame.to_parquet(path)
        return path

    written.read = getattr(datasets, request.param)
    return written


def scaled(prepared, rows, standardize=True):
    found = statistics(prepared, np.asarray(rows), standardize)
    values = (prepared.inputs - found.mean) / found.scale
    return np.where(np.isnan(values), 0, values)


def test_numbers_stay_and_categories_are_one_hot(write):
    data = write.read(write(FRAME), target="y")()
    assert data.columns == ("size", "kind=a", "kind=b", "kind=c", "flag")
    assert data.categories == ((1, 4),)
    expected = [
        [1, 0, 1, 0, 1],
        [2, 1, 0, 0, 0],
        [np.nan, 0, 1, 0, 1],
        [4, 0, 0, 0, 1],
        [5, 0, 0, 1, 0],
        [6, 1, 0, 0, 0],
    ]
    np.testing.assert_array_equal(data.inputs, expected)
    prepared = prepare(data)
    assert prepared.missing == 1
    assert prepared.spec.categories == ((1, 4),)


def test_what_is_missing_is_the_training_rows_mean(write):
    values = scaled(prepare(write.read(write(FRAME), target="y")), [0, 1, 2, 3])
    known = np.array([1.0, 2.0, 4.0])
    np.testing.assert_allclose(values[[0, 1, 3, 5], 0], (np.array([1, 2, 4, 6]) - known.mean()) / known.std())
    assert values[2, 0] == 0


def test_a_category_that_the_training_rows_lack_is_none_of_the_known(write):
    prepared = prepare(write.read(write(FRAME), target="y"))
    np.testing.assert_array_equal(scaled(prepared, [0, 1, 2, 3])[4, 1:4], [0, 0, 0])  # c is in row 4 alone
    np.testing.assert_array_equal(scaled(prepared, [0, 1, 4])[4, 1:4], [0, 0, 1])


def test_a_column_without_a_number_among_the_training_rows_says_nothing(write):
    prepared = prepare(write.read(write(FRAME), target="y"))
    assert not scaled(prepared, [2])[:, 0].any()


def test_a_test_file_is_encoded_as_the_first(write):
    tests = pd.DataFrame({"kind": ["z", "c"], "size": [1.0, np.nan], "flag": [1, 0], "y": [0.0, 1.0]})
    data = write.read(write(FRAME), target="y", test=write(tests, "test"))()
    np.testing.assert_array_equal(data.test[0], [[1, 0, 0, 0, 1], [np.nan, 0, 0, 1, 0]])


def test_numbers_that_are_categories_are_said_to_be(write):
    codes = FRAME.assign(code=[10, 20, 10, 30, 30, 10])
    data = write.read(write(codes), target="y", categories=["code"])()
    assert data.columns[-3:] == ("code=10", "code=20", "code=30")
    assert "categories=('code',)" in repr(write.read("a.csv", target="y", categories=["code"]))
    with pytest.raises(InputError, match=r"no such column in .*: cod\. Did you mean 'code'"):
        write.read(write(codes), target="y", categories=["cod"])()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": [None] * 6}, "a column has no value: kind"),
        ({"size": [np.inf, 1, 2, 3, 4, 5]}, r"an infinite value in column 'size', row 1"),
        ({"size": ["1", "2", "12x", "4", None, "6"]}, r"no number in column 'size', row 3 .*: 12x.*categories="),
        ({"y": [0.5, None, 1, 2, 3, 4]}, r"a missing value in column 'y': row 2"),
    ],
)
def test_what_cannot_be_encoded_is_told(write, changes, message):
    with pytest.raises(InputError, match=message):
        write.read(write(FRAME.assign(**changes)), target="y")()


def test_text_in_a_column_of_numbers_of_the_test_file_is_told(write):
    tests = FRAME.assign(size=["1", "2", "3", "x", "5", "6"])
    with pytest.raises(InputError, match=r"no number in column 'size', row 4 \(counted from 1\): x"):
        write.read(write(FRAME), target="y", test=write(tests, "test"))()


def test_a_column_of_identifiers_is_told(write):
    many = pd.DataFrame({"id": [f"row {number}" for number in range(1001)], "y": np.arange(1001) / 7})
    with pytest.raises(InputError, match="column 'id' has more categories than 1000"):
        write.read(write(many), target="y")()
