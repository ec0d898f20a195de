import numpy as np
import pytest

from tuner.data import Dataset, datasets, make_splits, prepare, statistics


def values(result):
    return np.concatenate([result.mean, result.scale, result.target_mean, result.target_scale])


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_planted_outlier_outside_the_training_rows_changes_nothing(part):
    data = datasets.diabetes()
    splits = make_splits(prepare(data), 5, 0.2, 0)
    fold = splits.folds[0]
    planted = (fold.validation if part == "validation" else splits.test)[0]
    inputs, targets = data.inputs.copy(), data.targets.copy()
    inputs[planted], targets[planted] = 1e6, 1e6
    prepared = prepare(Dataset(inputs, targets, "regression"))
    clean = statistics(prepare(data), fold.train, True)
    np.testing.assert_array_equal(values(statistics(prepared, fold.train, True)), values(clean))
    everything = np.append(fold.train, planted)
    assert (values(statistics(prepared, everything, True)) > values(clean)).all()


def test_training_rows_get_mean_0_and_deviation_1():
    prepared = prepare(datasets.diabetes)
    rows = make_splits(prepared, 5, 0.2, 0).folds[1].train
    found = statistics(prepared, rows, True)
    scaled = (prepared.inputs[rows] - found.mean) / found.scale
    targets = (prepared.targets[rows] - found.target_mean) / found.target_scale
    assert found.mean.shape == found.scale.shape == (10,)
    for array in (scaled, targets):
        np.testing.assert_allclose(array.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(array.std(axis=0), 1)


def test_without_standardization_only_regression_targets_are_scaled():
    prepared = prepare(datasets.diabetes)
    found = statistics(prepared, np.arange(100, dtype=np.int32), False)
    assert (found.mean == 0).all()
    assert (found.scale == 1).all()
    assert found.target_mean[0] == pytest.approx(prepared.targets[:100].mean())


def test_a_constant_column_keeps_its_scale():
    inputs = np.column_stack([np.full(30, 0.1), np.arange(30.0)])
    found = statistics(prepare(Dataset(inputs, np.full(30, 0.3), "regression")), np.arange(30, dtype=np.int32), True)
    assert found.scale[0] == 1
    assert found.scale[1] > 1
    assert found.target_scale.tolist() == [1]


@pytest.mark.parametrize(("dtype", "scale"), [(np.uint8, 255), (np.float32, 1)])
def test_images(dtype, scale):
    images = np.full((6, 4, 4, 1), 200, dtype)
    prepared = prepare(Dataset(images, [0, 1, 2] * 2, "classification"))
    found = statistics(prepared, np.arange(6, dtype=np.int32), True)
    assert (found.mean.shape, found.scale.shape) == ((), ())
    assert (found.mean, found.scale) == (0, scale)
    assert found.target_mean.tolist() == [0, 0, 0]
    assert found.target_scale.tolist() == [1, 1, 1]
