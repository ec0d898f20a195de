"""An experiment that fits a table: its task, its size and its classes decide what is searched, and for how long."""

import os
import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tuner.data import Dataset, datasets
from tuner.errors import InputError
from tuner.experiment import arrays_of, check, load_experiment
from tuner.init.project_files import write

_MOST_FOLDS = 5
_TEST_FRACTION = 0.2

_EXPERIMENT = '''"""{what}

tuner check {command}
tuner run {command} --trials 50
"""

from tuner import Experiment, Width, datasets, models


def search_space(trial):
    """{layers}, AdamW on a cosine schedule with dropout and weight decay."""
    return {{
        "hidden": [{hidden}],
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "learning_rate": trial.suggest_float("learning_rate", 1e-3, 1e-1, log=True),
        "schedule": "cosine",
        "batch_size": trial.suggest_categorical("batch_size", {batches}),
        "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True),
    }}


experiment = Experiment(
    name={name!r},
    data=datasets.{kind}({path!r}, target={target!r}),
    model=models.MLP,
    search_space=search_space,
    metric={metric!r},
    folds={folds},
    epochs={epochs},
    test_fraction={test},
)
'''

_ONE = 'Width(trial.suggest_int("hidden_0", 4, 64, log=True), cap=64)'
_TWO = 'Width(trial.suggest_int(f"hidden_{layer}", 16, 256, log=True), cap=256) for layer in range(2)'


@dataclass(frozen=True)
class _Size:
    """What suits tables of fewer rows than ``below``."""

    below: float
    layers: str
    hidden: str
    batches: tuple[int, int]
    epochs: int


# Small tables overfit wide layers and have few steps an epoch; large ones fill wide layers and large batches.
_SIZES = (
    _Size(1_000, "One small elastic hidden layer", _ONE, (16, 32), 30),
    _Size(10_000, "Two elastic hidden layers", _TWO, (32, 64), 20),
    _Size(float("inf"), "Two elastic hidden layers", _TWO, (128, 256), 15),
)


def write_experiment(table: Path, target: str, folder: Path) -> tuple[Path, str]:
    """Write ``experiments/NAME.py`` for a CSV or Parquet file and check it; the file, and what the table is.

    Raises:
        InputError: the table cannot be read, has no such column or too few rows, or the experiment is there already;
            nothing was written.
    """
    kind = "parquet" if table.suffix.lower() in {".parquet", ".pq"} else "csv"
    table = table.expanduser().absolute()
    data = getattr(datasets, kind)(table, target=target)()
    name = re.sub(r"[^a-z0-9]+", "-", table.stem.lower()).strip("-") or "table"
    file = folder / "experiments" / f"{name.replace('-', '_')}.py"
    what = f"{target} of {table.name}, a {data.task}: {len(data.inputs)} rows, {data.inputs.shape[1]} columns."
    named = {"what": what, "kind": kind, "name": name, "command": os.path.relpath(file)}
    _check(_experiment(data, target, **named, path=str(table)), file.name)
    path = os.path.relpath(table, file.parent.absolute())
    write({file: _experiment(data, target, **named, path=path).encode()})
    return file, what


def _check(text: str, name: str) -> None:
    """Check an experiment before its file is there."""
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / name
        draft.write_text(text, encoding="utf-8")
        experiment, _ = load_experiment(str(draft))
    check(experiment, arrays_of(experiment))


def _experiment(data: Dataset, target: str, *, what: str, **named: str) -> str:
    rows = len(data.inputs)
    size = next(size for size in _SIZES if rows < size.below)
    return _EXPERIMENT.format(
        layers=size.layers,
        hidden=size.hidden,
        batches=list(size.batches),
        epochs=size.epochs,
        target=target,
        metric="accuracy" if data.task == "classification" else "rmse",
        folds=_folds(data, target),
        test=_TEST_FRACTION,
        what=what.replace("\\", "/").replace('"', "'"),
        **named,
    )


def _folds(data: Dataset, target: str) -> int:
    """Five, or as many as the smallest class still has a row for, in each fold, beside the test part."""
    if data.task != "classification":
        return _MOST_FOLDS
    label, rows = Counter(data.targets.tolist()).most_common()[-1]
    folds = min(_MOST_FOLDS, int(rows * (1 - _TEST_FRACTION)))
    if folds < 2:
        fix = f"Leave out the rows of {label}, or join them to another class."
        raise InputError(f"a class of {target} has too few rows to be split", f"{label}: {rows}", fix)
    return folds
