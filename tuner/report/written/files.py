"""A report as files: one HTML page that needs nothing but itself, or Markdown with a folder of pictures."""

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

from tuner.errors import InputError
from tuner.report.figures import Figure
from tuner.report.figures.page import document
from tuner.report.written.blocks import Section, as_html, as_markdown

_MARK = "report of a study by tuner"
_STYLE = """
body { font-family: system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
section { margin: 3rem 0; } figure { margin: 2rem 0; } p.note { color: #666; }
table { border-collapse: collapse; display: block; overflow-x: auto; } pre { background: #f4f4f4; padding: 0.7rem; overflow-x: auto; }
th, td { border-bottom: 1px solid #ddd; padding: 0.3rem 0.8rem; text-align: left; }
"""  # noqa: E501


def write_report(sections: Sequence[Section], title: str, file: Path) -> list[Path]:
    """Write a report; a former one is replaced, any other file is kept.

    Args:
        sections: of the report.
        title: of the report.
        file: ``.html``, or ``.md`` with a folder of PNGs beside it.

    Returns:
        All files that were written, the report first.

    Raises:
        InputError: the file's name has another ending, there is a file that is no report, or it cannot be written.
    """
    if file.suffix not in {".html", ".md"}:
        raise InputError("a report is HTML or Markdown", str(file), "Give a name that ends in .html or .md.")
    try:
        _keep_other_files(file)
        pictures = _pictures(sections, file) if file.suffix == ".md" else {}
        for path, figure in pictures.items():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(figure.png())
        text = _html(sections, title) if file.suffix == ".html" else _markdown(sections, title, file)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        what, fix = "the report cannot be written", "Name another file with --to."
        raise InputError(what, f"{error.filename or file}: {error.strerror}", fix) from error
    return [file, *pictures]


def file_name(study: str) -> str:
    """A file name that stands for a study."""
    return re.sub(r"[^\w.-]+", "-", study).strip("-.") or "study"


def _keep_other_files(file: Path) -> None:
    if file.exists() and _MARK not in file.read_text(encoding="utf-8", errors="replace")[:1000]:
        raise InputError("there is a file of this name that is no report", str(file), "Name another one with --to.")


def _html(sections: Sequence[Section], title: str) -> str:
    body = (
        f"<section><h2>{escape(section.title)}</h2>{''.join(map(as_html, section.blocks))}</section>"
        for section in sections
    )
    return document(title, _STYLE, body, f'<meta name="generator" content="{_MARK}">')


def _pictures(sections: Sequence[Section], file: Path) -> dict[Path, Figure]:
    figures = [block for section in sections for block in section.blocks if isinstance(block, Figure)]
    return {_picture(figure, file): figure for figure in figures}


def _picture(figure: Figure, file: Path) -> Path:
    return file.with_name(f"{file.stem}_files") / f"{figure.name}.png"


def _markdown(sections: Sequence[Section], title: str, file: Path) -> str:
    def link(figure: Figure) -> str:
        return _picture(figure, file).relative_to(file.parent).as_posix().replace(" ", "%20")

    parts = [f"<!-- {_MARK} -->", f"# {title}"]
    for section in sections:
        parts += [f"## {section.title}", *(as_markdown(block, link) for block in section.blocks)]
    return "\n\n".join(parts) + "\n"
