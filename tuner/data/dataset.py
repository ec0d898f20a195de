"""What a data set is before and after it was checked."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from numpy.typing import NDArray

from tuner.errors import InputError, nearest

Task = Literal["classification", "regression"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Data as a user gives it; `prepare` checks what is inside.

    Attributes:
        inputs: [rows, ...], a table ``[rows, columns]`` or images ``[rows, height, width, channels]``.
        targets: [rows], class labels or numbers; for regression also [rows, outputs].
        task: "classification" or "regression".
        test: the data's own test part, a pair (inputs, targets) of the same form, or None.
        groups: [rows], rows of one group never stand on both sides of a split. The test part has none.
        columns: names of a table's columns, for messages.

    Raises:
        InputError: the task is unknown, or lengths differ.
    """

    inputs: Any
    targets: Any
    task: Task | str  # a mistyped task shall reach the check below, typed or not
    test: Any = None
    groups: Any = None
    columns: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.task not in get_args(Task):
            raise InputError("unknown task", self.task, nearest(str(self.task), get_args(Task)))
        _same_length("inputs", self.inputs, "targets", self.targets)
        if self.groups is not None:
            _same_length("inputs", self.inputs, "groups", self.groups)
        if self.test is not None:
            if not isinstance(self.test, (tuple, list)) or len(self.test) != 2:
                raise InputError("the test part is no pair", type(self.test), "Give test=(inputs, targets).")
            _same_length("test inputs", self.test[0], "test targets", self.test[1])


@dataclass(frozen=True)
class Spec:
    """What a model must know of the data.

    Attributes:
        input_shape: the shape of one example.
        outputs: how many numbers the model returns per example: 1 for two classes, k for k classes,
            the number of target columns for regression.
        task: "classification" or "regression".
    """

    input_shape: tuple[int, ...]
    outputs: int
    task: Task


@dataclass(frozen=True, eq=False)
class Prepared:
    """Checked data as arrays; the data's own test part, where it has one, comes last.

    Attributes:
        inputs: [rows, ...], uint8 for images given so, else float64.
        targets: int32 [rows], the class index; or float64 [rows, outputs] for regression.
        labels: what class i is called, in sorted order; None for regression.
        groups: [rows - own_test] or None.
        own_test: how many rows at the end are the data's own test part.
        spec: what a model must know.
        digest: SHA-256 (hexadecimal) of everything above.
        columns: names of a table's columns or None.
    """

    inputs: NDArray[Any]
    targets: NDArray[Any]
    labels: tuple[Any, ...] | None
    groups: NDArray[Any] | None
    own_test: int
    spec: Spec
    digest: str
    columns: tuple[str, ...] | None = None

    @property
    def is_table(self) -> bool:
        """Whether an example is a row of numbers."""
        return self.inputs.ndim == 2


def _same_length(name: str, values: Any, other_name: str, other: Any) -> None:
    lengths = _length(name, values), _length(other_name, other)
    if lengths[0] != lengths[1]:
        fix = "Give one of each per example, the example axis first."
        raise InputError(f"{name} and {other_name} differ in length", f"{lengths[0]} and {lengths[1]}", fix)


def _length(name: str, values: Any) -> int:
    shape = getattr(values, "shape", None)
    if shape:
        return int(shape[0])
    if shape is None and hasattr(values, "__len__") and not isinstance(values, (str, bytes, dict)):
        return len(values)
    raise InputError(f"{name} are no array", type(values), "Give an array, the example axis first.")
