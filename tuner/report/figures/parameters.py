"""What hyperparameters have to do with the value: importances, slices, parallel coordinates."""

from collections.abc import Mapping, Sequence

import optuna
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from tuner.report.figures.figure import Figure, LeftOut
from tuner.report.figures.marks import BLUE, ORANGE, Axis, Panel, Panels, Parallel, ParallelAxis, Points, Spans
from tuner.report.figures.scale import Scale, as_number
from tuner.report.figures.trials import complete_trials, from_worst_to_best, outside, seen_range, value_of
from tuner.report.ranking import FEWEST

_MOST = 12  # parameters in slices and parallel coordinates: more cannot be read
_MISSING = -0.12  # where a line crosses the axis of a parameter that its trial does not have


def parameters_of(study: optuna.Study, importances: Mapping[str, float]) -> dict[str, BaseDistribution]:
    """The parameters of the complete trials, the most important first, as the last trial that has them drew them."""
    found = {name: d for trial in complete_trials(study) for name, d in trial.distributions.items()}
    return {name: found[name] for name in sorted(found, key=lambda name: (-importances.get(name, 0.0), name))}


def importance_bars(importances: Mapping[str, float], metric: str) -> Figure | LeftOut:
    """The importances as bars."""
    title = "Hyperparameter importances"
    if not importances:
        return LeftOut(title, f"it takes {FEWEST} complete trials of different values, and a hyperparameter")
    if len(importances) == 1:
        return LeftOut(title, "the study has one hyperparameter only")
    names, shares = list(importances), list(importances.values())
    rows = list(range(len(names)))
    texts = [f"{name}: {share:.1%}" for name, share in importances.items()]
    spans = Spans("importance", rows, [0.0] * len(rows), shares, texts)
    panel = Panel(Axis("share"), Axis("", ticks=dict(zip(rows, names, strict=True))), [spans])
    sentence = (
        f"The longer a bar, the more does it depend on this hyperparameter whether a trial is among the best tenth by "
        f"{metric}."
    )
    note = "By PED-ANOVA, over all complete trials; with few trials it is a guess."
    return Figure("importances", title, sentence, Panels([panel]), note)


def slices(study: optuna.Study, parameters: Mapping[str, BaseDistribution], metric: str) -> Figure | LeftOut:
    """The value of each trial over each of its parameters."""
    title, trials = "Slices", from_worst_to_best(study)
    if not trials or not parameters:
        return LeftOut(title, "no trial is complete" if parameters or not trials else "there is no hyperparameter")
    limits = seen_range([value_of(trial) for trial in trials])
    panels = [_slice(name, parameters[name], trials, Axis(metric, limits=limits)) for name in list(parameters)[:_MOST]]
    sentence = (
        f"Each point is one trial: how far to the right is what it had for a hyperparameter, how high is the {metric} "
        "that it reached, and the best trial is marked."
    )
    note = " ".join(filter(None, [_cut(parameters), outside(limits, map(value_of, trials))]))
    return Figure("slices", title, sentence, Panels(panels, min(3, len(panels))), note)


def parallel_coordinates(
    study: optuna.Study, parameters: Mapping[str, BaseDistribution], metric: str
) -> Figure | LeftOut:
    """Each trial as a line across its parameters."""
    title, trials = "Parallel coordinates", from_worst_to_best(study)
    if len(trials) < 2:
        return LeftOut(title, "it takes two complete trials")
    if len(parameters) < 2:
        return LeftOut(title, "it takes two hyperparameters")
    names = list(parameters)[:_MOST]
    axes = [_value_axis(trials, metric), *(_parallel_axis(name, parameters[name], trials) for name in names)]
    lacking = any(name not in trial.params for trial in trials for name in names)
    order = "brighter" if study.direction == StudyDirection.MAXIMIZE else "darker"
    sentence = (
        f"Each line is one trial: it crosses each axis where its {metric} and its hyperparameters lie, and the "
        f"{order} a line, the better the trial."
    )
    note = f"Where a line runs below an axis its trial does not have that hyperparameter. {_cut(parameters)}"
    drawing = Parallel(axes, _MISSING if lacking else None)
    return Figure("parallel", title, sentence, drawing, note.strip() if lacking else _cut(parameters))


def _cut(parameters: Mapping[str, BaseDistribution]) -> str:
    return f"The {_MOST} most important of {len(parameters)} hyperparameters." if len(parameters) > _MOST else ""


def _slice(name: str, distribution: BaseDistribution, trials: Sequence[FrozenTrial], y: Axis) -> Panel:
    """One parameter's points, the best trial last so that nothing hides it."""
    scale, having = Scale.of(name, distribution, trials), [trial for trial in trials if name in trial.params]
    others, best = [trial for trial in having if trial is not trials[-1]], [t for t in having if t is trials[-1]]
    x = Axis(name, scale.log, scale.choices, scale.with_edges())
    marks = [_points(name, "trials", distribution, others, BLUE), _points(name, "best", distribution, best, ORANGE)]
    return Panel(x, y, marks)


def _points(
    name: str, called: str, distribution: BaseDistribution, trials: Sequence[FrozenTrial], colour: str
) -> Points:
    return Points(
        called,
        [as_number(distribution, trial.params[name]) for trial in trials],
        [value_of(trial) for trial in trials],
        [f"trial {trial.number}: {trial.params[name]}, {value_of(trial):.6g}" for trial in trials],
        colour,
    )


def _value_axis(trials: Sequence[FrozenTrial], metric: str) -> ParallelAxis:
    """The values; those far from the others are at the ends, since the colours follow this axis."""
    values = [value_of(trial) for trial in trials]
    scale = Scale(*(seen_range(values) or (min(values), max(values))))
    return ParallelAxis(metric, [scale.place(value) for value in values], scale.ticks())


def _parallel_axis(name: str, distribution: BaseDistribution, trials: Sequence[FrozenTrial]) -> ParallelAxis:
    scale = Scale.of(name, distribution, trials)
    places = [
        scale.place(as_number(distribution, trial.params[name])) if name in trial.params else _MISSING
        for trial in trials
    ]
    return ParallelAxis(name, places, scale.ticks())
