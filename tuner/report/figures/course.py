"""How a study and its best trials went: values by trial, and by epoch."""

import math
from collections.abc import Iterable
from itertools import accumulate

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from tuner.report.figures.figure import Figure, LeftOut
from tuner.report.figures.marks import COLOURS, GREY, ORANGE, Axis, Band, Line, Panel, Panels, Points
from tuner.report.figures.trials import complete_trials, from_worst_to_best, outside, seen_range, value_of
from tuner.study.stored import Measured, measured

_CURVES = 5  # trials: more cannot be told apart


def optimization_history(study: optuna.Study, metric: str) -> Figure | LeftOut:
    """The value of each trial, and the best so far."""
    title, complete = "Optimization history", complete_trials(study)
    pruned = _last_seen(study)
    if not complete and not pruned:
        return LeftOut(title, "no trial has been measured yet")
    marks: list[Points | Line] = []
    if pruned:
        marks.append(_points("pruned, last value", pruned, GREY))
    if complete:
        values = _of(complete)
        better = max if study.direction == StudyDirection.MAXIMIZE else min
        best = list(accumulate((value for _, value in values), better))
        marks += [
            _points("complete", values, COLOURS[0]),
            Line("best so far", [number for number, _ in values], best, ORANGE, steps=True),
        ]
    seen = [value for _, value in [*pruned, *_of(complete)]]
    limits = seen_range(seen)
    panel = Panel(_whole("trial", (x for mark in marks for x in mark.x)), Axis(metric, limits=limits), marks)
    aim = "higher" if study.direction == StudyDirection.MAXIMIZE else "lower"
    sentence = (
        f"Each point is one trial with the {metric} that it reached ({aim} is better), and the line is the best that "
        "the study had found by then."
    )
    return Figure("history", title, sentence, Panels([panel]), outside(limits, seen))


def learning_curves(study: optuna.Study, metric: str) -> Figure | LeftOut:
    """The metric of the best trials by epoch: its mean over the folds, and their range."""
    title = "Learning curves of the best trials"
    best_first = reversed(from_worst_to_best(study))
    curves = [(trial, found) for trial in best_first if (found := measured(trial)) is not None][:_CURVES]
    if not curves:
        return LeftOut(title, "no complete trial has its measurements in the database")
    marks: list[Band | Line] = []
    for (trial, found), colour in zip(curves, COLOURS, strict=False):
        marks += _curve(trial, found, colour)
    folds = len(curves[0][1]["folds"][0])
    epochs = _whole("epoch", (epoch for mark in marks for epoch in mark.x))
    sentence = (
        f"Each line is the {metric} of one trial after each epoch of training, as the mean over the {folds} folds, and "
        "the band around it reaches from the worst to the best fold."
    )
    return Figure("curves", title, sentence, Panels([Panel(epochs, Axis(metric), marks)]))


def _whole(label: str, numbers: Iterable[float]) -> Axis:
    """An axis of whole numbers: few of them have a tick each, else there would be some in between."""
    numbers = list(numbers)
    each = range(int(min(numbers)), int(max(numbers)) + 1)
    return Axis(label, ticks={number: str(number) for number in each} if len(each) <= 12 else None, whole=True)


def _last_seen(study: optuna.Study) -> list[tuple[int, float]]:
    """Number and last report of the pruned trials."""
    pruned = study.get_trials(deepcopy=False, states=(TrialState.PRUNED,))
    last = [
        (trial.number, trial.intermediate_values[trial.last_step]) for trial in pruned if trial.last_step is not None
    ]
    return [(number, value) for number, value in last if math.isfinite(value)]


def _of(trials: list[FrozenTrial]) -> list[tuple[int, float]]:
    return [(trial.number, value_of(trial)) for trial in trials]


def _points(name: str, values: list[tuple[int, float]], colour: str) -> Points:
    texts = [f"trial {number}: {value:.6g}" for number, value in values]
    return Points(name, [number for number, _ in values], [value for _, value in values], texts, colour)


def _curve(trial: FrozenTrial, found: Measured, colour: str) -> list[Band | Line]:
    folds = found["folds"]
    epochs, means = list(range(1, len(folds) + 1)), [sum(values) / len(values) for values in folds]
    band = Band(epochs, [min(values) for values in folds], [max(values) for values in folds], colour)
    return [band, Line(f"trial {trial.number}: {value_of(trial):.4g}", epochs, means, colour)]
