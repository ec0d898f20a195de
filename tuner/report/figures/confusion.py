"""A confusion matrix as scikit-learn draws it."""

from typing import Any

import numpy as np

from tuner.study.shown import ConfusionMatrix

_MOST_NUMBERS = 30  # classes up to which each cell shows its count


def shares_of(confusion: ConfusionMatrix) -> np.ndarray:
    """The counts of each row as shares of it."""
    counts = np.asarray(confusion.counts)
    shares: np.ndarray = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    return shares


def no_formula(text: str) -> str:
    """A text as it is: between two dollars Matplotlib would read a formula."""
    return text.replace("$", r"\$")


def confusion_figure(confusion: ConfusionMatrix) -> Any:
    """A confusion matrix as a figure of Matplotlib, each row coloured by the shares of its true class."""
    from matplotlib.figure import Figure
    from sklearn.metrics import ConfusionMatrixDisplay

    counts, shares = np.asarray(confusion.counts), shares_of(confusion)
    classes = len(counts)
    side = min(4 + 0.4 * classes, 20)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    display = ConfusionMatrixDisplay(shares, display_labels=[no_formula(label) for label in confusion.labels])
    display.plot(ax=axes, cmap="Blues", colorbar=False, include_values=False, xticks_rotation="vertical")
    if classes <= _MOST_NUMBERS:
        for (true, predicted), count in np.ndenumerate(counts):
            colour = "white" if shares[true, predicted] > 0.5 else "black"
            shown = str(count) if count else ""
            axes.text(predicted, true, shown, ha="center", va="center", color=colour, in_layout=False)
    axes.set_title(no_formula(confusion.title))
    return figure
