"""Drawings as PNGs, by Matplotlib: no browser is needed."""

import io
import warnings
from functools import singledispatch
from typing import Any

from matplotlib import colormaps
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure

from tuner.report.figures.confusion import confusion_figure, no_formula
from tuner.report.figures.marks import Axis, Band, Drawing, Line, Panels, Parallel, Points, Spans
from tuner.study.shown import ConfusionMatrix

_DPI = 100
_MOST_TICKS = 30
_TALLEST = 20  # inches
_LONGEST = 24  # characters of a tick's text
_PALE = {"facecolor": "white", "alpha": 0.6, "edgecolor": "none", "pad": 0.5}


def png(drawing: Drawing) -> bytes:
    """A drawing as a PNG."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)  # a box says as much
        figure = figure_of(drawing)
        figure.set_dpi(_DPI)
        figure.get_layout_engine().execute(figure)
        figure.set_layout_engine("none")  # else saving draws everything twice
        figure.savefig(file, format="png")
    return file.getvalue()


@singledispatch
def figure_of(drawing: Drawing) -> Any:
    """The figure of a drawing."""
    raise TypeError(f"nothing draws a {type(drawing).__name__}")


figure_of.register(ConfusionMatrix, confusion_figure)


@figure_of.register
def _panels(drawing: Panels) -> Any:
    height = 5.0 if drawing.rows == 1 else 3.0 * drawing.rows
    figure = Figure(figsize=(10, max(height, min(0.2 * drawing.bars, _TALLEST))), layout="constrained")
    for index, panel in enumerate(drawing.panels):
        axes = figure.add_subplot(drawing.rows, drawing.columns, index + 1)
        for mark in panel.marks:
            _draw(mark, axes)
        if panel.bars:
            axes.margins(y=0.02)
            axes.invert_yaxis()
        _label(axes, axes.xaxis, "x", panel.x)
        _label(axes, axes.yaxis, "y", panel.y)
        if index == 0 and panel.has_legend:
            axes.legend(fontsize="small")
    return figure


@figure_of.register
def _parallel(drawing: Parallel) -> Any:
    figure = Figure(figsize=(max(10, 1.3 * len(drawing.axes)), 5), layout="constrained")
    axes = figure.add_subplot()
    columns = range(len(drawing.axes))
    lines = [list(zip(columns, places, strict=True)) for places in zip(*(a.places for a in drawing.axes), strict=True)]
    colours = colormaps["viridis"](list(drawing.axes[0].places))
    axes.add_collection(LineCollection(lines, colors=colours, linewidths=0.8, alpha=0.7))
    low = 0.0 if drawing.missing is None else drawing.missing
    for column, axis in zip(columns, drawing.axes, strict=True):
        axes.axvline(column, color="black", linewidth=0.8)
        missing = {} if drawing.missing is None else {drawing.missing: "none"}
        for place, text in {**missing, **axis.ticks}.items():
            axes.text(column + 0.03, place, _short(text), fontsize="x-small", va="center", bbox=_PALE, in_layout=False)
    axes.set(xlim=(-0.1, len(drawing.axes) - 0.5), ylim=(low - 0.03, 1.03), yticks=[])
    axes.set_xticks(list(columns), [_short(axis.label) for axis in drawing.axes], rotation=20, ha="right")
    return figure


def _short(text: str) -> str:
    return no_formula(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")


def _label(axes: Any, axis: Any, side: str, described: Axis) -> None:
    axis.set_label_text(no_formula(described.label))
    if described.log:
        getattr(axes, f"set_{side}scale")("log")
    if described.whole:
        axis.get_major_locator().set_params(integer=True)
    if described.limits is not None:
        getattr(axes, f"set_{side}lim")(described.limits)
    if described.ticks is not None:
        shown = sorted(described.ticks.items())[:: -(-len(described.ticks) // _MOST_TICKS)]
        axis.set_ticks([place for place, _ in shown], [_short(text) for _, text in shown])


@singledispatch
def _draw(mark: Any, axes: Any) -> None:  # noqa: ARG001  for those that draw
    raise TypeError(f"nothing draws a {type(mark).__name__}")


@_draw.register
def _points(mark: Points, axes: Any) -> None:
    axes.plot(mark.x, mark.y, "o", color=mark.colour, markersize=4, alpha=0.7, label=_short(mark.name))


@_draw.register
def _line(mark: Line, axes: Any) -> None:
    style = "o" if len(mark.x) == 1 else "-"
    how = "steps-post" if mark.steps else "default"
    axes.plot(mark.x, mark.y, style, color=mark.colour, drawstyle=how, label=_short(mark.name))


@_draw.register
def _band(mark: Band, axes: Any) -> None:
    axes.fill_between(mark.x, mark.low, mark.high, color=mark.colour, alpha=0.15, linewidth=0)


@_draw.register
def _spans(mark: Spans, axes: Any) -> None:
    corners = [
        [(start, row - 0.4), (end, row - 0.4), (end, row + 0.4), (start, row + 0.4)]
        for row, start, end in zip(mark.rows, mark.starts, mark.ends, strict=True)
    ]
    bars = PolyCollection(corners, facecolor=mark.colour, edgecolor="white", linewidth=0.5, label=_short(mark.name))
    axes.add_collection(bars)  # many times faster than a patch each
    axes.autoscale_view()
