"""The pictures of a study, from nothing but its database.

Each is described once, as plain data (``marks``), and drawn twice: by Plotly for a page, by Matplotlib as a PNG. Both
are imported when something is drawn.
"""

from collections.abc import Iterable

import optuna

from tuner.report.figures.best import confusion_matrix
from tuner.report.figures.course import learning_curves, optimization_history
from tuner.report.figures.figure import Figure, LeftOut
from tuner.report.figures.lanes import lane_timeline
from tuner.report.figures.page import page_of
from tuner.report.figures.parameters import (
    importance_bars,
    parallel_coordinates,
    parameters_of,
    slices,
)
from tuner.report.ranking import importances
from tuner.study.record import StudyMemory

__all__ = ["Figure", "Figures", "LeftOut", "figures_of", "page"]


class Figures(list[Figure]):
    """The figures of a study: a list, which knows also what is not in it and why.

    Args:
        found: figures, and what stands for those that cannot be drawn.

    Attributes:
        left_out: these.
    """

    def __init__(self, found: Iterable[Figure | LeftOut] = ()) -> None:
        found = list(found)
        super().__init__(each for each in found if isinstance(each, Figure))
        self.left_out = [each for each in found if isinstance(each, LeftOut)]


def figures_of(study: optuna.Study, memory: StudyMemory) -> Figures:
    """The pictures of a study, as far as it has something to show.

    Args:
        study: Optuna's.
        memory: what it remembers; ``tuner.study.load_with_memory`` opens both.
    """
    shares, metric = importances(study), memory.metric
    parameters = parameters_of(study, shares)
    return Figures(
        [
            optimization_history(study, metric),
            learning_curves(study, metric),
            importance_bars(shares, metric),
            slices(study, parameters, metric),
            parallel_coordinates(study, parameters, metric),
            confusion_matrix(study, memory),
            lane_timeline(study),
        ]
    )


def page(figures: Iterable[Figure], title: str) -> str:
    """One HTML page with all figures, what each shows, and plotly.js: it needs no other file and no other host."""
    return page_of(figures, getattr(figures, "left_out", ()), title)
