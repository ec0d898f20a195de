"""A figure: what it is called, what it says, and the picture in two forms."""

from dataclasses import dataclass

from tuner.report.figures.marks import Drawing


@dataclass(frozen=True)
class Figure:
    """A picture of a study.

    Attributes:
        name: for files and links.
        title: for people.
        sentence: what it shows, for who has never seen one.
        drawing: the data.
        note: what is not in it, and what else is to be known of this one.
    """

    name: str
    title: str
    sentence: str
    drawing: Drawing
    note: str = ""

    def html(self) -> str:
        """The interactive picture as a ``div``, for a page that has plotly.js."""
        from tuner.report.figures.interactive import div

        return div(self.drawing, self.name)

    def png(self) -> bytes:
        """The picture as a PNG, made without a browser."""
        from tuner.report.figures.drawn import png

        return png(self.drawing)


@dataclass(frozen=True)
class LeftOut:
    """A figure that a study does not give, and why."""

    title: str
    why: str
