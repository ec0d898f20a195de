"""From a data set as given to checked arrays."""

import hashlib
from collections.abc import Iterable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tuner.data.checks import Columns, as_array, as_labels, as_numbers, is_whole, place
from tuner.data.dataset import Dataset, Prepared, Spec, Task
from tuner.data.sequences import are_sequences, as_sequences, as_tokens
from tuner.errors import InputError

_LIMIT_SEED = 0


def prepare(dataset: object, limit: object = None) -> Prepared:
    """Checks a data set and turns it into arrays.

    Args:
        dataset: a `Dataset`, or a callable without arguments that returns one.
        limit: an int: take so many rows, stratified by class; the data's own test part stays whole.

    Returns:
        The arrays, with classes mapped to 0..k-1 in sorted order.

    Raises:
        InputError: anything wrong with the data; the message says what, where and what to do.
    """
    data = _load(dataset)
    columns = _columns(data)
    inputs, test_inputs = _all_inputs(data, columns)
    labels, targets = _targets(data, inputs)
    groups = None if data.groups is None else as_labels(data.groups, "groups")
    if limit is not None:
        rows = _limited_rows(targets, data.task, _checked_limit(limit, len(inputs)))
        inputs, targets = inputs[rows], targets[rows]
        groups = None if groups is None else groups[rows]
    own_test = 0
    if data.test is not None:
        test_targets = _test_targets(data, inputs, test_inputs, targets, labels)
        inputs, targets = np.concatenate([inputs, test_inputs]), np.concatenate([targets, test_targets])
        own_test = len(test_inputs)
    spec = _spec(inputs, targets, labels, data)
    sequences = data.vocabulary is None and are_sequences(data.inputs)
    digest = _digest([inputs, targets, groups], (own_test, labels, spec, data.vocabulary, sequences))
    missing = int(np.isnan(inputs).sum()) if data.impute else 0
    return Prepared(
        inputs, targets, labels, groups, own_test, spec, digest, columns, data.vocabulary, sequences, missing
    )


def _load(dataset: object) -> Dataset:
    data = dataset() if callable(dataset) else dataset
    if isinstance(data, Dataset):
        return data
    what = "the data's callable returns no Dataset" if callable(dataset) else "data is no Dataset"
    raise InputError(what, type(data), "Give a tuner.Dataset, or a callable without arguments that returns one.")


def _columns(data: Dataset) -> Columns:
    names = getattr(data.inputs, "columns", None) if data.columns is None else data.columns
    if names is None:
        return None
    width = np.shape(data.inputs)[1:]
    if width != (len(names),):
        raise InputError("columns do not fit the inputs", f"{len(names)} names", f"One example has shape {width}.")
    return tuple(str(name) for name in names)


def _all_inputs(data: Dataset, columns: Columns) -> tuple[NDArray[Any], NDArray[Any]]:
    """The inputs and those of the data's own test part, which are empty where there is none; of one length."""
    given = [data.inputs] if data.test is None else [data.inputs, data.test[0]]
    names = ["inputs", "test inputs"][: len(given)]
    arrays: list[NDArray[Any]]
    if data.vocabulary is not None:
        arrays = [*as_tokens(given, names, len(data.vocabulary))]
    elif are_sequences(data.inputs):
        arrays = [*as_sequences(given, names)]
    else:
        arrays = [_inputs(values, name, columns, data.impute) for values, name in zip(given, names, strict=True)]
    return arrays[0], arrays[1] if len(arrays) > 1 else arrays[0][:0]


def _inputs(values: Any, name: str, columns: Columns, may_miss: bool) -> NDArray[Any]:  # noqa: FBT001
    array = as_array(values, name) if may_miss else as_numbers(values, name, columns)
    if array.size == 0:
        raise InputError(f"{name} are empty", f"shape {array.shape}", "Give at least one example and one column.")
    if array.ndim == 1:
        fix = "The example axis comes first: reshape a single column to [rows, 1]."
        raise InputError(f"{name} have one axis", f"shape {array.shape}", fix)
    stays = array.ndim > 2 and array.dtype in (np.uint8, np.float32)  # a large file is mapped into memory, not copied
    return array if stays else array.astype(np.float64, copy=False)


def _targets(data: Dataset, inputs: NDArray[Any]) -> tuple[tuple[Any, ...] | None, NDArray[Any]]:
    if data.task == "regression":
        return None, _numbers(data.targets, "targets")
    if data.task == "next_token":
        return None, _next_tokens(data, data.targets, inputs, "targets")
    values = _classes(data.targets, "targets")
    labels = tuple(np.unique(values).tolist())
    if len(labels) < 2:
        raise InputError("classification with a single class", labels[0], "Give examples of at least two classes.")
    return labels, _codes(values, labels)


def _numbers(values: Any, name: str) -> NDArray[np.float64]:
    array = as_numbers(values, name).astype(np.float64)
    if array.ndim > 2:
        raise InputError(f"{name} have too many axes", f"shape {array.shape}", "Give [rows] or [rows, outputs].")
    return array.reshape(len(array), -1)


def _next_tokens(data: Dataset, values: Any, inputs: NDArray[Any], name: str) -> NDArray[np.int32]:
    (tokens,) = as_tokens([values], [name], len(data.vocabulary or ()))
    if tokens.shape != inputs.shape:
        fix = "Give what follows at each place: one token for each of the inputs'."
        raise InputError(f"{name} and inputs differ in shape", f"{tokens.shape} and {inputs.shape}", fix)
    return tokens


def _classes(values: Any, name: str) -> NDArray[Any]:
    array = as_labels(values, name)
    if array.dtype.kind != "f":
        return array
    fractional = ~np.isfinite(array) | (array != np.round(array))
    if fractional.any():
        row = int(np.argmax(fractional))
        fix = "Classes are text, integers or booleans. If these are quantities, set task='regression'."
        raise InputError(f"{name}: no class in {place((row,))}", float(array[row]), fix)
    return array.astype(np.int64)


def _codes(values: NDArray[Any], labels: tuple[Any, ...]) -> NDArray[np.int32]:
    index = {label: code for code, label in enumerate(labels)}
    unique, inverse = np.unique(values, return_inverse=True)
    for label in unique.tolist():
        if label not in index:
            fix = f"The other rows know {', '.join(map(repr, labels[:10]))}. Drop such test rows, or add training rows."
            raise InputError("the test part has a class that no other row has", repr(label), fix)
    return np.asarray([index[label] for label in unique.tolist()], dtype=np.int32)[inverse]


def _test_targets(
    data: Dataset,
    inputs: NDArray[Any],
    test_inputs: NDArray[Any],
    targets: NDArray[Any],
    labels: tuple[Any, ...] | None,
) -> NDArray[Any]:
    _, given = data.test
    if test_inputs.shape[1:] != inputs.shape[1:] or test_inputs.dtype != inputs.dtype:
        form = f"{test_inputs.dtype} {test_inputs.shape[1:]}"
        fix = f"The other rows are {inputs.dtype} {inputs.shape[1:]}: make them alike."
        raise InputError("one example of the test part has another form", form, fix)
    if labels is not None:
        return _codes(_classes(given, "test targets"), labels)
    if data.task == "next_token":
        return _next_tokens(data, given, test_inputs, "test targets")
    test_targets = _numbers(given, "test targets")
    if test_targets.shape[1] != targets.shape[1]:
        fix = f"The other rows have {targets.shape[1]}."
        raise InputError("the test part has another number of target columns", test_targets.shape[1], fix)
    return test_targets


def _checked_limit(limit: object, rows: int) -> int:
    if not is_whole(limit) or not 1 <= limit <= rows:
        raise InputError("limit is no possible number of rows", limit, f"Take 1 to {rows}, or leave it out.")
    return int(limit)


def _limited_rows(targets: NDArray[Any], task: str, limit: int) -> NDArray[np.int64]:
    """Row numbers in ascending order; a smaller limit takes a subset, and no class is lost while limit >= classes."""
    order = np.random.default_rng(_LIMIT_SEED).permutation(len(targets))
    if task == "classification":
        codes = targets[order]
        counts = np.bincount(codes)
        by_class = np.argsort(codes, kind="stable")
        rank = np.empty(len(codes), dtype=np.int64)
        rank[by_class] = np.arange(len(codes)) - (np.cumsum(counts) - counts)[codes[by_class]]
        order = order[np.argsort(rank / counts[codes], kind="stable")]
    return np.sort(order[:limit])


def _spec(inputs: NDArray[Any], targets: NDArray[Any], labels: tuple[Any, ...] | None, data: Dataset) -> Spec:
    tokens = None if data.vocabulary is None else len(data.vocabulary)
    if data.task == "next_token" and tokens is not None:
        outputs = tokens
    else:
        outputs = targets.shape[1] if labels is None else 1 if len(labels) == 2 else len(labels)
    return Spec(tuple(inputs.shape[1:]), outputs, cast("Task", data.task), tokens, data.categories)


def _digest(arrays: Iterable[NDArray[Any] | None], rest: object) -> str:
    digest = hashlib.sha256(repr(rest).encode())
    for array in arrays:
        if array is None:
            digest.update(b"none")
            continue
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
