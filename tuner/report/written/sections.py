"""What a report says, from nothing but the study's database."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean
from typing import Any

import optuna

from tuner.report.checked import described, range_of
from tuner.report.costs import PHASES
from tuner.report.figures import Figure, Figures, figures_of
from tuner.report.figures.parameters import parameters_of
from tuner.report.ranking import importances, ranked
from tuner.report.summary import counted
from tuner.report.written.blocks import Block, Code, Section, Table, Text
from tuner.report.written.sureness import how_sure
from tuner.study import StudyResult
from tuner.study.record import StudyMemory

_TOP = 5


def sections_of(result: StudyResult, against: int | None = None) -> list[Section]:
    """The sections of a study's report.

    Args:
        result: of the study.
        against: the number of the trial that the best one is compared with; the first complete one by default.

    Raises:
        InputError: there is no such complete trial.
    """
    study, memory = result.study, result.memory
    figures = figures_of(study, memory)
    return [
        Section("What was searched", list(_searched(study, memory))),
        Section("What was found", [*_found(result), *_named(figures, "history", "curves")]),
        Section("How sure that is", [*how_sure(result, against), *_named(figures, "confusion_matrix")]),
        Section("What mattered", [*_mattered(study), *_named(figures, "importances", "slices", "parallel")]),
        Section("What it cost", [*_cost(result), *_named(figures, "lanes")]),
        Section("How to do it again", list(_again(result))),
        *_missing(figures),
    ]


def _named(figures: Iterable[Figure], *names: str) -> list[Figure]:
    return [figure for figure in figures if figure.name in names]


def _searched(study: optuna.Study, memory: StudyMemory) -> Iterable[Block]:
    fields, data = memory.shown.parameters, memory.shown.dataset
    direction = study.direction.name.lower()
    folds = fields.get("folds", "some")
    yield Text(
        f"Experiment {memory.experiment}: the metric is {memory.metric} ({direction}), a trial's value is its mean "
        f"over {folds} folds after the last of {fields.get('epochs', 'its')} epochs. The test rows were cut off "
        "before and no trial saw them."
    )
    rows = [[name, str(value).strip("'")] for name, value in fields.items()]
    if data:
        rows += [["data", data["name"]], ["data, digest", data["digest"]]]
        rows += [[f"data, {name}", _words(value)] for name, value in data["profile"].items()]
    yield Table(["field", "value"], rows)
    ranges = parameters_of(study, {})
    if ranges:
        yield Text("What the search space drew from:")
        found = {name: described(distribution) for name, distribution in ranges.items()}
        rows = [[name, range_of(each), each["scale"]] for name, each in found.items()]
        yield Table(["hyperparameter", "range", "scale"], rows)


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {item}" for name, item in value.items())
    return " x ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _found(result: StudyResult) -> Iterable[Block]:
    best, metric = result.best, result.memory.metric
    yield Text(f"Trials: {counted(result.trials)}.")
    if best is None:
        yield Text("No trial is complete, so nothing was found.")
        return
    tested = f"; on the test rows, trained once more on all others, {mean(best.test):.4f}" if best.test else ""
    yield Text(f"The best is trial {best.number}: {metric} {best.value:.4f} over its folds{tested}.")
    yield Table(*ranked(result.study, metric, _TOP))


def _mattered(study: optuna.Study) -> Iterable[Block]:
    found = importances(study)
    if not found:
        yield Text("The complete trials are too few, or too much alike, to tell which hyperparameters mattered.")
        return
    first = next(iter(found))
    yield Text(
        f"{first} tells the good trials from the others best ({found[first]:.0%} by PED-ANOVA). It says where in a "
        "range good trials lie more often than trials at large, not that a value causes a good result."
    )


def _cost(result: StudyResult) -> Iterable[Block]:
    cost = result.cost_total or result.cost
    if not cost:
        yield Text("The study has not ended, so its cost is not known yet.")
        return
    wall, ended = cost["wall_seconds"], sum(result.trials[state] for state in ("complete", "pruned", "failed"))
    yield Text(
        f"{wall:.1f} seconds in all, {wall / max(ended, 1):.2f} a trial; {cost.get('programs', 0)} programs served "
        f"them, {cost.get('occupancy', 0):.0%} of the lanes' epochs were used by trials."
    )
    phases = [(words, cost[name]) for name, words in PHASES.items() if name in cost]
    yield Table(["what the loop did", "seconds", "share"], [[w, f"{s:.1f}", f"{s / wall:.0%}"] for w, s in phases])


def _again(result: StudyResult) -> Iterable[Block]:
    memory, origin = result.memory, result.memory.shown.origin
    if command := origin.get("tuner.command"):
        yield Text("The study was begun by")
        yield Code([command])
    else:
        yield Text("The study was begun from Python.")
    rows = [["file", memory.file or "-"], ["--set", " ".join(memory.settings) or "-"], ["seed", str(memory.seed)]]
    rows += [["parallel trials", str(memory.parallel_trials)], ["device", origin.get("tuner.device", "-")]]
    commit = origin.get("mlflow.source.git.commit", "-")
    rows += [["git commit", commit + (" and changes that are not in it" if "tuner.git.changed" in origin else "")]]
    rows += [[name, number] for name, number in memory.libraries.items()]
    yield Table(["what", "value"], rows)
    sure = (
        "It decided nothing by the clock (--deterministic): the same command gives the same study, bit for bit, on the "
        "same machine."
        if memory.deterministic
        else "What was asked next depended on which trial ended first, so the same command gives another study of the "
        "same kind; with --deterministic it would give the same one."
    )
    yield Text(sure)


def _missing(figures: Figures) -> Sequence[Section]:
    if not figures.left_out:
        return []
    return [Section("Not drawn", [Text(f"{each.title}: {each.why}.") for each in figures.left_out])]
