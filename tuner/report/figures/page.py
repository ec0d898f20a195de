"""All figures of a study on one page that needs nothing but itself."""

from collections.abc import Iterable, Sequence
from html import escape

from tuner.report.figures.figure import Figure, LeftOut

_STYLE = """
body { font-family: system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
section { margin: 3rem 0; }
p.note { color: #666; }
"""

# Whatever a study's names hold, and whatever plotly.js would like to fetch: the page reaches no other host.
# Its parallel coordinates are drawn by code that it makes, so it may evaluate some.
_NOTHING_ELSE = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:"
)


def page_of(figures: Iterable[Figure], left_out: Sequence[LeftOut], title: str) -> str:
    """A page with the interactive figures, what each shows, and which are missing and why."""
    return document(title, _STYLE, [*map(_section, figures), *_missing(left_out)])


def document(title: str, style: str, body: Iterable[str], head: str = "") -> str:
    """An HTML page with plotly.js that reaches no other host.

    Args:
        title: as text.
        style: CSS.
        body: HTML below the title.
        head: more of the page's head.
    """
    from plotly.offline import get_plotlyjs

    parts = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8">{head}',
        f'<meta http-equiv="Content-Security-Policy" content="{_NOTHING_ELSE}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{style}</style>",
        f"<script>{get_plotlyjs()}</script></head><body><h1>{escape(title)}</h1>",
        *body,
        "</body></html>",
    ]
    return "\n".join(parts)


def _section(figure: Figure) -> str:
    note = f'<p class="note">{escape(figure.note)}</p>' if figure.note else ""
    words = f"<h2>{escape(figure.title)}</h2><p>{escape(figure.sentence)}</p>"
    return f'<section id="{escape(figure.name)}">{words}{figure.html()}{note}</section>'


def _missing(left_out: Sequence[LeftOut]) -> list[str]:
    if not left_out:
        return []
    rows = [f"<li>{escape(each.title)}: {escape(each.why)}.</li>" for each in left_out]
    return ["<section><h2>Not drawn</h2><ul>", *rows, "</ul></section>"]
