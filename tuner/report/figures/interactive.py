"""Drawings as interactive figures of Plotly."""

import math
from collections.abc import Mapping
from functools import singledispatch
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tuner.report.figures.confusion import shares_of
from tuner.report.figures.marks import Axis, Band, Drawing, Line, Panels, Parallel, Points, Spans
from tuner.study.shown import ConfusionMatrix

_CONFIG = {"displaylogo": False, "responsive": True}
_PANEL_HEIGHT = 420
_BAR_HEIGHT, _TALLEST = 18, 2000
_SCALE = "Viridis"


def div(drawing: Drawing, name: str) -> str:
    """A drawing as a ``div`` of this id with its script, for a page that has plotly.js."""
    html: str = figure_of(drawing).to_html(
        full_html=False, include_plotlyjs=False, div_id=f"figure-{name}", config=_CONFIG
    )
    return html


@singledispatch
def figure_of(drawing: Drawing) -> Any:
    """The figure of a drawing."""
    raise TypeError(f"nothing draws a {type(drawing).__name__}")


@figure_of.register
def _panels(drawing: Panels) -> Any:
    figure = make_subplots(drawing.rows, drawing.columns)
    for index, panel in enumerate(drawing.panels):
        place = {"row": index // drawing.columns + 1, "col": index % drawing.columns + 1}
        for mark in panel.marks:
            figure.add_trace(_trace(mark, in_legend=index == 0 and panel.has_legend), **place)
        if panel.bars:
            figure.update_yaxes(autorange="reversed", **place)
        figure.update_xaxes(_axis(panel.x), **place)
        figure.update_yaxes(_axis(panel.y), **place)
    height = 300 * drawing.rows if drawing.rows > 1 else 0
    return _laid_out(figure, max(_PANEL_HEIGHT, min(100 + _BAR_HEIGHT * drawing.bars, _TALLEST), height))


@figure_of.register
def _parallel(drawing: Parallel) -> Any:
    low = 0.0 if drawing.missing is None else drawing.missing
    missing: Mapping[float, str] = {} if drawing.missing is None else {drawing.missing: "none"}
    dimensions = [
        {
            "label": escape(axis.label),
            "values": list(axis.places),
            "range": [low, 1.0],
            "tickvals": [*missing, *axis.ticks],
            "ticktext": [escape(text) for text in [*missing.values(), *axis.ticks.values()]],
        }
        for axis in drawing.axes
    ]
    line = {"color": list(drawing.axes[0].places), "colorscale": _SCALE, "cmin": 0.0, "cmax": 1.0}
    return _laid_out(go.Figure(go.Parcoords(dimensions=dimensions, line=line)), _PANEL_HEIGHT, top=60)


@figure_of.register
def _confusion(drawing: ConfusionMatrix) -> Any:
    labels = [escape(label) for label in drawing.labels]
    counts = [list(row) for row in drawing.counts]
    heat = go.Heatmap(
        z=shares_of(drawing).tolist(),
        text=counts,
        texttemplate="%{text}" if len(labels) <= 30 else "",
        hovertemplate="true %{y}, taken for %{x}: %{text}<extra></extra>",
        colorscale="Blues",
        showscale=False,
        zmin=0,
        zmax=1,
    )
    figure = go.Figure(heat)
    ticks = {"tickvals": list(range(len(labels))), "ticktext": labels}
    figure.update_xaxes(title="predicted label", **ticks)
    figure.update_yaxes(title="true label", autorange="reversed", **ticks)
    return _laid_out(figure, max(_PANEL_HEIGHT, 120 + 25 * len(labels)))


def _laid_out(figure: Any, height: int, top: int = 30) -> Any:
    figure.update_layout(
        template="plotly_white", height=height, margin={"l": 60, "r": 30, "t": top, "b": 50}, hovermode="closest"
    )
    return figure


def _axis(axis: Axis) -> dict[str, Any]:
    found: dict[str, Any] = {"title": {"text": escape(axis.label)}, "automargin": True}
    if axis.log:
        found |= {"type": "log", "exponentformat": "power"}
        decades = axis.limits is not None and axis.limits[1] > 100 * axis.limits[0]
        found |= {"dtick": 1} if decades else {}  # a tick for each, and none of the small ones between
    if axis.whole:
        found["tickformat"] = "d"
    if axis.limits is not None:
        found["range"] = [math.log10(limit) if axis.log else limit for limit in axis.limits]
    if axis.ticks is not None:
        texts = [escape(text) for text in axis.ticks.values()]
        found |= {"tickvals": list(axis.ticks), "ticktext": texts}
    return found


@singledispatch
def _trace(mark: Any, *, in_legend: bool) -> Any:  # noqa: ARG001  for those that draw
    raise TypeError(f"nothing draws a {type(mark).__name__}")


@_trace.register
def _points(mark: Points, *, in_legend: bool) -> Any:
    return go.Scatter(
        x=list(mark.x),
        y=list(mark.y),
        mode="markers",
        name=escape(mark.name),
        legendgroup=mark.name,
        showlegend=in_legend,
        text=[escape(text) for text in mark.texts],
        hovertemplate="%{text}<extra></extra>",
        marker={"color": mark.colour, "size": 6, "opacity": 0.7},
    )


@_trace.register
def _line(mark: Line, *, in_legend: bool) -> Any:
    shape = "hv" if mark.steps else "linear"
    return go.Scatter(
        x=list(mark.x),
        y=list(mark.y),
        mode="lines" if len(mark.x) > 1 else "markers",
        name=escape(mark.name),
        showlegend=in_legend,
        line={"color": mark.colour, "shape": shape},
    )


@_trace.register
def _band(mark: Band, *, in_legend: bool) -> Any:  # noqa: ARG001  it belongs to its line
    return go.Scatter(
        x=[*mark.x, *reversed(mark.x)],
        y=[*mark.high, *reversed(mark.low)],
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=mark.colour,
        opacity=0.15,
        hoverinfo="skip",
        showlegend=False,
    )


@_trace.register
def _spans(mark: Spans, *, in_legend: bool) -> Any:
    return go.Bar(
        base=list(mark.starts),
        x=[end - start for start, end in zip(mark.starts, mark.ends, strict=True)],
        y=list(mark.rows),
        orientation="h",
        name=escape(mark.name),
        showlegend=in_legend,
        width=0.8,
        offset=-0.4,
        text=[escape(text) for text in mark.texts],
        textposition="none",
        hovertemplate="%{text}<extra></extra>",
        marker={"color": mark.colour, "line": {"color": "white", "width": 1}},
    )
