"""Sequences that differ in length, and tokens."""

import numpy as np
import pytest

from tuner import Dataset, InputError, datasets
from tuner.data import prepare, statistics
from tuner.data.text import labelled, windows

RNG = np.random.default_rng(0)


def ragged(lengths, channels=2):
    return [RNG.normal(3, 5, size=(length, channels)) for length in lengths]


def test_sequences_are_filled_up_with_nan_to_the_longest_of_both_parts():
    rows, tests = ragged([3, 1, 2, 2]), ragged([5, 2])
    found = prepare(Dataset(rows, [0, 1, 0, 1], "classification", test=(tests, [0, 1])))
    assert found.inputs.shape == (6, 5, 2)
    assert found.sequences
    assert not found.is_table
    for row, one in zip(found.inputs, [*rows, *tests], strict=True):
        np.testing.assert_array_equal(row[: len(one)], one)
        assert np.isnan(row[len(one) :]).all()


def test_channels_are_standardized_by_the_steps_of_the_training_rows():
    rows = ragged([3, 1, 4, 2])
    prepared = prepare(Dataset(rows, [0, 1, 0, 1], "classification"))
    found = statistics(prepared, np.array([0, 2]), standardize=True)
    steps = np.concatenate([rows[0], rows[2]])
    np.testing.assert_allclose(found.mean, steps.mean(0))
    np.testing.assert_allclose(found.scale, steps.std(0))
    plain = statistics(prepared, np.array([0, 2]), standardize=False)
    assert plain.mean == 0
    assert plain.scale == 1


def test_sequences_of_one_length_are_a_list_and_standardized_as_all_are():
    array = np.stack(ragged([3, 3, 3]))
    prepared = prepare(Dataset(list(array), [0, 1, 0], "classification"))
    assert prepared.sequences
    np.testing.assert_array_equal(prepared.inputs, array)
    np.testing.assert_allclose(statistics(prepared, np.arange(3), standardize=True).mean, array.mean((0, 1)))
    images = prepare(Dataset(array, [0, 1, 0], "classification"))
    assert statistics(images, np.arange(3), standardize=True).mean == 0
    assert images.digest != prepared.digest


def test_a_list_of_pictures_is_no_list_of_sequences():
    pictures = [np.full((2, 2), value, np.uint8) for value in (0, 255, 0)]
    prepared = prepare(Dataset(pictures, [0, 1, 0], "classification"))
    assert not prepared.sequences
    assert prepared.inputs.dtype == np.uint8


def test_a_dataset_shows_its_size_and_not_its_rows():
    assert repr(datasets.surnames()) == "Dataset(classification, 7020 rows)"
    assert repr(datasets.mnist()) == "Dataset(classification, 60000 rows, 10000 test rows)"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([np.zeros((2, 2)), np.zeros((1, 3))], r"other channels in row 2 \(counted from 1\): 3"),
        ([np.zeros((2, 2)), np.zeros((0, 2))], r"no sequence in row 2 \(counted from 1\)"),
        ([np.zeros((2, 2)), np.array([[0.0, np.nan]])], r"row 2 .*a missing value \(NaN\)"),
        ([np.zeros((2, 2)), np.zeros((3, 2, 2))], "inputs are no array"),
    ],
)
def test_what_is_no_sequence_is_told(rows, message):
    with pytest.raises(InputError, match=message):
        prepare(Dataset(rows, [0, 1], "classification"))


# Tokens


def test_texts_are_characters_of_one_vocabulary():
    found = prepare(labelled(["abc", "b", "ca"], ["x", "y", "x"]))
    assert found.inputs.dtype == np.int32
    assert found.inputs.tolist() == [[0, 1, 2], [1, -1, -1], [2, 0, -1]]
    assert found.vocabulary == ("a", "b", "c")
    assert found.spec.tokens == 3
    assert not found.is_table
    with pytest.raises(InputError, match=r"an empty text: row 2"):
        labelled(["a", ""], ["x", "y"])


def test_windows_of_a_text_and_what_follows():
    found = prepare(windows("abcabcab", 3))
    assert found.inputs.tolist() == [[0, 1, 2], [0, 1, 2]]
    assert found.targets.tolist() == [[1, 2, 0], [1, 2, 0]]
    assert found.labels is None
    assert found.spec.output_shape == (3, 3)
    assert found.spec.task == "next_token"


def test_neighbouring_windows_are_of_one_group():
    assert windows("ab" * 200, 10).groups.tolist() == [0] * 10 + [1] * 10 + [2] * 10 + [3] * 9


def test_a_text_file_is_read(tmp_path):
    (tmp_path / "a.txt").write_text("äbä" * 20, encoding="utf-8")
    found = prepare(datasets.text(tmp_path / "a.txt", length=5))
    assert found.vocabulary == ("b", "ä")
    assert found.inputs.shape == (11, 5)
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        datasets.text(tmp_path / "b.txt")()
    for length, message in ((0, "length must be a whole number"), (40, "too short for two windows: 60 characters")):
        with pytest.raises(InputError, match=message):
            datasets.text(tmp_path / "a.txt", length=length)()


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([[0, 1], [2, 0]], r"no token in row 2 \(counted from 1\): 2\. The vocabulary has 2"),
        ([[0, 1], [-2, 0]], r"no token in row 2 .*: -2"),
        ([[0, 1], [-1, 0]], r"a token behind the end in row 2"),
        ([[0.0, 1.0], [1.0, 0.0]], r"no tokens in row 1"),
        ([[-1, -1], [-1, -1]], "are empty"),
    ],
)
def test_what_is_no_token_is_told(tokens, message):
    with pytest.raises(InputError, match=message):
        prepare(Dataset(tokens, [0, 1], "classification", vocabulary=("a", "b")))


def test_next_token_needs_tokens_and_one_target_for_each():
    with pytest.raises(InputError, match="next_token needs tokens"):
        Dataset([[0, 1]], [[1, 0]], "next_token")
    with pytest.raises(InputError, match=r"targets and inputs differ in shape: \(2, 1\) and \(2, 2\)"):
        prepare(Dataset([[0, 1], [1, 1]], [[0], [1]], "next_token", vocabulary=("a", "b")))
