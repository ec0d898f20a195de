"""What a report is made of, and how each part is written in HTML and in Markdown."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeAlias

from tuner.report.figures import Figure


@dataclass(frozen=True)
class Text:
    """A paragraph of plain words."""

    words: str


@dataclass(frozen=True)
class Code:
    """Lines as they are typed."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Table:
    """Rows of cells below a row of heads."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


Block: TypeAlias = Text | Code | Table | Figure


@dataclass(frozen=True)
class Section:
    """A part of a report with its title."""

    title: str
    blocks: Sequence[Block]


def as_html(block: Block) -> str:
    """A block as HTML."""
    if isinstance(block, Text):
        return f"<p>{escape(block.words)}</p>"
    if isinstance(block, Code):
        return f"<pre>{escape(chr(10).join(block.lines))}</pre>"
    if isinstance(block, Table):
        heads = "".join(f"<th>{escape(head)}</th>" for head in block.heads)
        rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in block.rows)
        return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    note = f'<p class="note">{escape(block.note)}</p>' if block.note else ""
    return f"<figure><h3>{escape(block.title)}</h3>{block.html()}<p>{escape(block.sentence)}</p>{note}</figure>"


def as_markdown(block: Block, picture: Callable[[Figure], str]) -> str:
    """A block as Markdown.

    Args:
        block: the block.
        picture: where a figure's PNG is, as a link says it.
    """
    if isinstance(block, Text):
        return _plain(block.words)
    if isinstance(block, Code):
        return "\n".join(f"    {line}" for line in block.lines)
    if isinstance(block, Table):
        heads, *rows = ("| " + " | ".join(map(_plain, row)) + " |" for row in (block.heads, *block.rows))
        return "\n".join([heads, "|" + " --- |" * len(block.heads), *rows])
    words = "\n\n".join(_plain(text) for text in (block.sentence, block.note) if text)
    return f"### {_plain(block.title)}\n\n![{_plain(block.title)}]({picture(block)})\n\n{words}"


def _plain(text: str) -> str:
    """A text that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", " ".join(text.split()))
