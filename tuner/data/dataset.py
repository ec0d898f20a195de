"""What a data set is before and after it was checked."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from numpy.typing import NDArray

from tuner.errors import InputError, nearest

Task = Literal["classification", "next_token", "regression"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Data as a user gives it; `prepare` checks what is inside.

    Attributes:
        inputs: [rows, ...], a table ``[rows, columns]``, images ``[rows, height, width, channels]``, or a list of
            sequences ``[time, channels]``; ``list(array)`` makes sequences of one array ``[rows, time, channels]``.
        targets: [rows], class labels or numbers; for regression also [rows, outputs]; tokens [rows, time] that follow
            those of the inputs for next_token.
        task: "classification", "regression" or "next_token".
        test: the data's own test part, a pair (inputs, targets) of the same form, or None.
        groups: [rows], rows of one group never stand on both sides of a split. The test part has none.
        columns: names of a table's columns, for messages.
        categories: (begin, end) of the columns that stand for one category each of what was one column; exactly one of
            them is 1, or none where it is missing.
        impute: whether a table's missing numbers (NaN) are filled in by the mean of a fold's training rows.
        vocabulary: what the tokens are called, where inputs are tokens: whole numbers from 0, [rows, time] or a list of
            sequences; -1 stands for none at a sequence's end.

    Raises:
        InputError: the task is unknown, or lengths differ.
    """

    inputs: Any
    targets: Any
    task: Task | str  # a mistyped task shall reach the check below, typed or not
    test: Any = None
    groups: Any = None
    columns: tuple[str, ...] | None = None
    vocabulary: tuple[str, ...] | None = None
    categories: tuple[tuple[int, int], ...] = ()
    impute: bool = False

    def __repr__(self) -> str:
        """Its size, not its rows."""
        test = "" if self.test is None else f", {len(self.test[0])} test rows"
        return f"Dataset({self.task}, {len(self.inputs)} rows{test})"

    def __post_init__(self) -> None:
        if self.task not in get_args(Task):
            raise InputError("unknown task", self.task, nearest(str(self.task), get_args(Task)))
        _same_length("inputs", self.inputs, "targets", self.targets)
        if self.task == "next_token" and self.vocabulary is None:
            fix = "Give vocabulary=(...), what the tokens are called."
            raise InputError("next_token needs tokens", "no vocabulary", fix)
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
        task: "classification", "regression" or "next_token".
        tokens: how many there are, where examples are tokens; a model gets them as whole numbers, -1 where a sequence
            has ended. None where examples are numbers; of sequences that differ in length they are NaN at the end.
        categories: (begin, end) of a table's columns that stand for one category each of what was one column.
    """

    input_shape: tuple[int, ...]
    outputs: int
    task: Task
    tokens: int | None = None
    categories: tuple[tuple[int, int], ...] = ()

    @property
    def output_shape(self) -> tuple[int, ...]:
        """What a model returns for one example: numbers, for the next token some at each place."""
        return (*self.input_shape[:1], self.outputs) if self.task == "next_token" else (self.outputs,)


@dataclass(frozen=True, eq=False)
class Prepared:
    """Checked data as arrays; the data's own test part, where it has one, comes last.

    Attributes:
        inputs: [rows, ...], uint8 or float32 for images given so, int32 for tokens, else float64.
        targets: int32 [rows], the class index; float64 [rows, outputs] for regression; int32 [rows, time] for tokens.
        labels: what class i is called, in sorted order; None where there are no classes.
        groups: [rows - own_test] or None.
        own_test: how many rows at the end are the data's own test part.
        spec: what a model must know.
        digest: SHA-256 (hexadecimal) of everything above.
        columns: names of a table's columns or None.
        vocabulary: what token i is called, or None.
        sequences: whether examples are sequences of numbers, NaN where one has ended.
        missing: how many numbers of a table are missing (NaN), and will be filled in.
    """

    inputs: NDArray[Any]
    targets: NDArray[Any]
    labels: tuple[Any, ...] | None
    groups: NDArray[Any] | None
    own_test: int
    spec: Spec
    digest: str
    columns: tuple[str, ...] | None = None
    vocabulary: tuple[str, ...] | None = None
    sequences: bool = False
    missing: int = 0

    @property
    def is_table(self) -> bool:
        """Whether an example is a row of numbers."""
        return self.inputs.ndim == 2 and self.vocabulary is None


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
