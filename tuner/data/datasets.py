"""Data sets to use in an experiment: well-known small ones, files, and arrays.

Each is a `Dataset` or a callable that returns one, which is what an experiment's ``data`` takes.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tuner.data import packaged
from tuner.data.dataset import Dataset
from tuner.data.files import ArrayFile, IdxFolder, MappedFiles, PictureFolder, TableFile, TextFile, infer_task
from tuner.errors import InputError

experiment_folder: ContextVar[Path | None] = ContextVar("experiment_folder", default=None)
"""The folder of the experiment file that is being loaded; files are looked up there first."""


def digits() -> Dataset:
    """1797 handwritten digits, 10 classes: images [1797, 8, 8, 1] of 0..1."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return Dataset(bunch.images[..., np.newaxis] / 16, bunch.target, "classification")


def breast_cancer() -> Dataset:
    """569 tumours, 30 columns, 2 classes (0 malignant, 1 benign)."""
    from sklearn.datasets import load_breast_cancer

    return _table(load_breast_cancer(), "classification")


def wine() -> Dataset:
    """178 wines, 13 columns, 3 classes."""
    from sklearn.datasets import load_wine

    return _table(load_wine(), "classification")


def iris() -> Dataset:
    """150 flowers, 4 columns (centimetres), 3 classes."""
    from sklearn.datasets import load_iris

    return _table(load_iris(), "classification")


def diabetes() -> Dataset:
    """442 patients, 10 columns in their own units; the target is the progression of the disease (25 to 346)."""
    from sklearn.datasets import load_diabetes

    return _table(load_diabetes(scaled=False), "regression")


def csv(
    path: str | PathLike[str],
    *,
    target: str,
    task: str | None = None,
    groups: str | None = None,
    test: str | PathLike[str] | None = None,
    categories: Sequence[str] = (),
) -> TableFile:
    """A CSV file with a header; read when called.

    Columns of numbers stay, missing ones are filled in by the mean of a fold's training rows; any other column is one
    of categories. The target's and the groups' are no inputs.

    Args:
        path: a relative one is looked up beside the experiment file, then in the current folder.
        target: the column of the targets.
        task: None infers it: text, booleans and integers of at most 20 distinct values are classes.
        groups: a column whose equal values never stand on both sides of a split; it is no input.
        test: a second file with the same columns, the data's own test part.
        categories: columns of categories, though they look like numbers.

    Raises:
        InputError: when called, if the file, a column or a cell is not as it should be.
    """
    return _file("csv", path, target, task, groups, test=test, names=categories)


def parquet(
    path: str | PathLike[str],
    *,
    target: str,
    task: str | None = None,
    groups: str | None = None,
    test: str | PathLike[str] | None = None,
    categories: Sequence[str] = (),
) -> TableFile:
    """A Parquet file; everything as for `csv`."""
    return _file("parquet", path, target, task, groups, test=test, names=categories)


def npz(path: str | PathLike[str], *, inputs: str = "x", targets: str = "y", task: str | None = None) -> ArrayFile:
    """A NumPy .npz file with an array of inputs [rows, ...] and one of targets [rows]; read when called.

    Args:
        path: a relative one is looked up beside the experiment file, then in the current folder.
        inputs: name of the inputs' array in the file.
        targets: name of the targets' array in the file.
        task: None infers it as for `csv`.

    Raises:
        InputError: when called, if there is no such file or array.
    """
    return ArrayFile(Path(path), inputs, targets, task, experiment_folder.get())


def npy(inputs: str | PathLike[str], targets: str | PathLike[str], *, task: str | None = None) -> MappedFiles:
    """Two NumPy .npy files, inputs [rows, ...] and targets [rows], mapped into memory when called.

    Images of uint8 or float32 are never read as a whole, so they may be larger than the machine's memory.

    Args:
        inputs: a relative path is looked up beside the experiment file, then in the current folder.
        targets: likewise.
        task: None infers it as for `csv`.

    Raises:
        InputError: when called, if there is no such file, or it is none of NumPy's.
    """
    return MappedFiles(Path(inputs), Path(targets), task, experiment_folder.get())


def arrays(
    x: Any, y: Any, *, task: str | None = None, groups: Any = None, test: tuple[Any, Any] | None = None
) -> Dataset:
    """Arrays as a data set: x [rows, ...], y [rows], groups [rows], test (x, y); the task is inferred as for `csv`.

    Raises:
        InputError: lengths differ, or the task is unknown.
    """
    return Dataset(x, y, task or infer_task(y), test, groups)


def idx(folder: str | PathLike[str]) -> IdxFolder:
    """Images and labels of four IDX files in the form and with the names of MNIST's, gzip or not; read when called.

    Args:
        folder: a relative one is looked up beside the experiment file, then in the current folder.

    Raises:
        InputError: when called, if a file is missing or damaged.
    """
    return IdxFolder(Path(folder), experiment_folder.get())


def images(path: str | PathLike[str], *, size: tuple[int, int], colour: bool = True) -> PictureFolder:
    """Pictures, a subfolder for each class, as uint8 [rows, height, width, channels]; read when called.

    A folder with just the subfolders ``train`` and ``test`` is a training part and the data's own test part.

    Args:
        path: a relative one is looked up beside the experiment file, then in the current folder.
        size: height and width that all are brought to.
        colour: three channels, else one.

    Raises:
        InputError: the size is none; when called, if there is no picture, or one that cannot be read.
    """
    if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
        raise InputError("size must be a height and a width", size, "Give size=(32, 32), say.")
    height, width = size
    return PictureFolder(Path(path), (height, width), colour, experiment_folder.get())


def text(path: str | PathLike[str], *, length: int = 64) -> TextFile:
    """A text file as tokens, its characters, for the prediction of the next one at each place; read when called.

    Args:
        path: a relative one is looked up beside the experiment file, then in the current folder.
        length: characters of an example.

    Raises:
        InputError: when called, if there is no such file, or it is too short.
    """
    return TextFile(Path(path), length, experiment_folder.get())


def mnist() -> Dataset:
    """MNIST: 60,000 handwritten digits and 10,000 test images, uint8 [rows, 28, 28, 1], 10 classes (`make mnist`)."""
    return packaged.mnist()


def fashion_mnist() -> Dataset:
    """Fashion-MNIST: 60,000 pieces of clothing and 10,000 test images, uint8 [rows, 28, 28, 1], 10 classes."""
    return packaged.fashion_mnist()


def mnist_rows() -> Dataset:
    """MNIST row by row: sequences of 28 steps, each a row of 28 pixels (`make mnist`)."""
    data = packaged.mnist()
    test_inputs, test_targets = data.test
    return Dataset(data.inputs[..., 0], data.targets, data.task, test=(test_inputs[..., 0], test_targets))


def segments() -> Dataset:
    """2,310 pieces of outdoor images, 18 columns, 7 classes (`make data`)."""
    return packaged.segments()


def diamonds() -> Dataset:
    """53,940 diamonds and their prices, 6 columns of numbers and 3 of categories (`make data`)."""
    return packaged.diamonds()


def japanese_vowels() -> Dataset:
    """Two vowels of 9 speakers: sequences of 7 to 29 steps, 12 channels; 270, and 370 test ones (`make data`)."""
    return packaged.japanese_vowels()


def surnames() -> Dataset:
    """Surnames of 11 languages as sequences of characters (`make data`)."""
    return packaged.surnames()


def stdlib_text(length: int = 64) -> Dataset:
    """The help texts of Python's standard library, 400,000 characters, to predict the next one."""
    return packaged.stdlib_text(length)


def _file(
    kind: Literal["csv", "parquet"],
    path: Any,
    target: str,
    task: str | None,
    groups: str | None,
    *,
    test: Any,
    names: Any,
) -> TableFile:
    own_test = None if test is None else Path(test)
    return TableFile(kind, Path(path), target, task, groups, own_test, experiment_folder.get(), tuple(names))


def _table(bunch: Any, task: str) -> Dataset:
    return Dataset(bunch.data, bunch.target, task, columns=tuple(str(name) for name in bunch.feature_names))
