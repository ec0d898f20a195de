"""What a check found, in words and as JSON."""

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from tuner.experiment import Checked, Experiment, arrays_of, check, notes_of
from tuner.experiment.space import footprint
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
        "search_space": {
            name: described(distribution) | {"kind": checked.kinds[name]}
            for name, distribution in checked.distributions.items()
        },
        "footprint": None if checked.failure else vars(footprint(checked.draws, experiment, arrays)),
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
    width = max(map(len, ["examples", "programs", "lanes", *found["search_space"]])) + 2
    lines = [
        f"experiment {found['experiment']}: a {found['task']}, "
        f"{experiment.epochs} epochs on {len(rows['training'])} folds",
        f"  {'rows':<{width}}{rows['training'][0]} to train on, {rows['validation'][0]} to validate (first fold), "
        f"{rows['test']} for the test",
        f"  {'examples':<{width}}shape {tuple(found['input_shape'])}, {found['outputs']} outputs",
        *_space(found["search_space"], width),
        f"  {'programs':<{width}}{_programs(found['programs'])}",
        *([] if found["footprint"] is None else [f"  {'lanes':<{width}}{_lanes(found['footprint'])}"]),
        *(f"note: {note}" for note in found["notes"]),
    ]
    return "\n".join(lines)


def described(distribution: BaseDistribution) -> dict[str, Any]:
    """A distribution as plain data: its range or choices, and its scale."""
    if isinstance(distribution, CategoricalDistribution):
        return {"choices": list(distribution.choices), "scale": "categorical"}
    low, high, step = (getattr(distribution, name) for name in ("low", "high", "step"))
    scale = "log" if getattr(distribution, "log") else "linear"  # noqa: B009  both kinds of numbers have it
    return {"low": low, "high": high, "scale": scale} | ({} if step in {None, 1} else {"step": step})


def range_of(found: Mapping[str, Any]) -> str:
    """The range or the choices of what ``described`` gives, in words."""
    if "choices" in found:
        return ", ".join(map(str, found["choices"]))
    return f"{found['low']:g} to {found['high']:g}" + (f" by {found['step']:g}" if "step" in found else "")


def _space(parameters: Mapping[str, Mapping[str, Any]], width: int) -> list[str]:
    """A line for each parameter: its range, its scale, how it enters programs."""
    ranges = {name: range_of(found) for name, found in parameters.items()}
    longest = max(map(len, ranges.values()), default=0) + 2
    return [
        f"  {name:<{width}}{ranges[name]:<{longest}}{found['scale']:<13}{found['kind']}"
        for name, found in parameters.items()
    ]


def _lanes(found: Mapping[str, int]) -> str:
    least, most = found["least_parameters"], found["most_parameters"]
    many = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    return f"{many} parameters; {found['lane_bytes'] / 2**20:.2g} MiB of state a lane at the declared caps"


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
