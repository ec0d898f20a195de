"""What a picture shows, as plain data: each kind is drawn by ``interactive`` and by ``drawn``, and by nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from tuner.study.shown import ConfusionMatrix

BLUE, ORANGE, GREEN, RED, PURPLE, GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#999999"
"""Colours that people who see no red or green tell apart (Okabe and Ito, 2008)."""

COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE)


@dataclass(frozen=True)
class Points:
    """Points, each with a text for whoever points at it."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    texts: Sequence[str]
    colour: str = BLUE


@dataclass(frozen=True)
class Line:
    """A line; with ``steps`` it keeps a value until the next one."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str = BLUE
    steps: bool = False


@dataclass(frozen=True)
class Band:
    """The space between two lines."""

    x: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    colour: str = BLUE


@dataclass(frozen=True)
class Spans:
    """Horizontal bars from a start to an end, each on a row from the top, with a text for whoever points at it."""

    name: str
    rows: Sequence[int]
    starts: Sequence[float]
    ends: Sequence[float]
    texts: Sequence[str]
    colour: str = BLUE


Mark: TypeAlias = Points | Line | Band | Spans


@dataclass(frozen=True)
class Axis:
    """An axis.

    ticks: the texts of its places where they are no numbers. limits: what is seen of it at first; None shows all.
    whole: whether it has whole numbers only.
    """

    label: str
    log: bool = False
    ticks: Mapping[int, str] | None = None
    limits: tuple[float, float] | None = None
    whole: bool = False


@dataclass(frozen=True)
class Panel:
    """Marks over two axes."""

    x: Axis
    y: Axis
    marks: Sequence[Mark]

    @property
    def has_legend(self) -> bool:
        """Whether it has marks to be told apart."""
        return len({mark.name for mark in self.marks if not isinstance(mark, Band)}) > 1

    @property
    def bars(self) -> int:
        """The rows that bars are on; their axis counts from the top."""
        return len({row for mark in self.marks if isinstance(mark, Spans) for row in mark.rows})


@dataclass(frozen=True)
class Panels:
    """Panels side by side, so many in a row."""

    panels: Sequence[Panel]
    columns: int = 1

    @property
    def rows(self) -> int:
        """How many rows they fill."""
        return -(-len(self.panels) // self.columns)

    @property
    def bars(self) -> int:
        """The most rows of bars in a panel."""
        return max(panel.bars for panel in self.panels)


@dataclass(frozen=True)
class ParallelAxis:
    """One of several upright axes: where each line crosses it, from 0 to 1, and the texts of some places."""

    label: str
    places: Sequence[float]
    ticks: Mapping[float, str]


@dataclass(frozen=True)
class Parallel:
    """Lines across upright axes. The first axis gives a line its colour; what comes last is drawn on top.

    missing: where lines cross an axis that means nothing for them; None where there are none.
    """

    axes: Sequence[ParallelAxis]
    missing: float | None = field(default=None)


Drawing: TypeAlias = Panels | Parallel | ConfusionMatrix
