"""What a check found, in words and as JSON."""

from collections.abc import Mapping
from typing import Any

from tuner.experiment import Checked, Experiment, arrays_of, check, notes_of
from tuner.study.samplers import make_sampler


def checked_as_json(experiment: Experiment) -> dict[str, Any]:
    """Check an experiment.

    Raises:
        InputError: something is wrong with it.
    """
    arrays = arrays_of(experiment)
    checked = check(experiment, arrays)
    make_sampler(experiment.sampler, 0, checked.distributions)
    return {
        "experiment": experiment.name,
        "task": arrays.spec.task,
        "rows": {
            "training": [len(part.train) for part in arrays.folds],
            "validation": [len(part.validation) for part in arrays.folds],
            "test": len(arrays.final.validation),
        },
        "input_shape": list(arrays.spec.input_shape),
        "outputs": arrays.spec.outputs,
        "labels": None if arrays.prepared.labels is None else [str(label) for label in arrays.prepared.labels],
        "metric": experiment.metric,
        "search_space": {name: str(distribution) for name, distribution in checked.distributions.items()},
        "programs": None if checked.programs is None else dict(zip(("least", "most"), checked.programs, strict=True)),
        "static": sorted(checked.static),
        "reads_all": checked.reads_all,
        "notes": _notes(checked),
        "failure": None if checked.failure is None else f"{type(checked.failure).__name__}: {checked.failure}",
    }


def checked_as_text(experiment: Experiment) -> str:
    """Check an experiment; what was found, in words.

    Raises:
        InputError: something is wrong with it.
    """
    found = checked_as_json(experiment)
    rows = found["rows"]
    width = max(map(len, ["examples", "programs", *found["search_space"]])) + 2
    lines = [
        f"experiment {found['experiment']}: a {found['task']}, "
        f"{experiment.epochs} epochs on {len(rows['training'])} folds",
        f"  {'rows':<{width}}{rows['training'][0]} to train on, {rows['validation'][0]} to validate (first fold), "
        f"{rows['test']} for the test",
        f"  {'examples':<{width}}shape {tuple(found['input_shape'])}, {found['outputs']} outputs",
        *(f"  {name:<{width}}{distribution}" for name, distribution in found["search_space"].items()),
        f"  {'programs':<{width}}{_programs(found['programs'])}",
        *(f"note: {note}" for note in found["notes"]),
    ]
    return "\n".join(lines)


def _programs(count: Mapping[str, int] | None) -> str:
    if count is None:
        return "one for each value of a static float"
    least, most = count["least"], count["most"]
    many = f"{least}" if least == most else f"{least} to {most}, as compiling and masks cost"
    return f"{many}, whatever the number of trials"


def _notes(checked: Checked) -> list[str]:
    notes = notes_of(checked)
    if checked.reads_all:
        notes.append("the model reads all hyperparameters at once (**), so a misspelt name cannot be found")
    if checked.failure is not None:
        kind = type(checked.failure).__name__
        notes.append(f"the model raises for every draw, so every trial will fail: {kind}: {checked.failure}")
    return notes
