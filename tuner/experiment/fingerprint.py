"""The fingerprint of an experiment: what must not change between a study's beginning and its end.

The syntax trees (no comments, no docstrings, no layout) of the experiment's file and of the project's files that it
imports, the resolved fields, and the data's digest. The installed libraries, tuner among them, are no part of it.
"""

import ast
import hashlib
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from tuner.experiment.definition import Experiment
from tuner.experiment.loading import Source

Fingerprint = dict[str, dict[str, str]]


def fingerprint(
    experiment: Experiment, source: Source | None, data_digest: str, weights_digest: str = ""
) -> Fingerprint:
    """The fingerprint in its parts, plain data: ``files`` (by path), ``fields`` (by name) and ``data``."""
    files = {} if source is None else {name: _digest(tree) for name, tree in sorted(_trees(source).items())}
    settings = {f.name: describe_field(getattr(experiment, f.name)) for f in fields(experiment) if f.name != "data"}
    weights = {} if not weights_digest else {"weights": weights_digest}
    return {"files": files, "fields": settings, "data": {"digest": data_digest} | weights}


def changes(before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]) -> list[str]:
    """What differs between two fingerprints, in words; an empty list where nothing does."""
    found: list[str] = []
    for part in ("files", "fields", "data"):
        old, new = before.get(part, {}), after.get(part, {})
        if part == "fields":  # a study that is older than a field has its default
            old = {f.name: describe_field(f.default) for f in fields(Experiment) if f.default is not MISSING} | dict(
                old
            )
        names = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
        found.extend(_change(part, name, old.get(name), new.get(name)) for name in names)
    return found


def _default_fields() -> dict[str, str]:
    return {f.name: describe_field(f.default) for f in fields(Experiment) if f.default is not MISSING}


def describe_field(value: Any) -> str:
    """A field's value as text that is the same in every process: no addresses in it."""
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{(getattr(value, '__module__', None) or '').partition('tuner_experiment_')[0]}:{value.__qualname__}"
    if "__repr__" not in {name for kind in type(value).__mro__[:-1] for name in vars(kind)}:
        return f"{type(value).__qualname__}({_state(value)})"
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _state(value: Any) -> str:
    plain = {k: v for k, v in vars(value).items() if isinstance(v, bool | int | float | str | None)}
    return ", ".join(f"{name.lstrip('_')}={plain[name]!r}" for name in sorted(plain))


def _change(part: str, name: str, old: str | None, new: str | None) -> str:
    if part == "data":
        return "the data changed" if name == "digest" else "the weights of init_from changed"
    if part == "files":
        how = "is new" if old is None else "is gone" if new is None else "changed"
        return f"{name} {how}"
    return f"{name}: {old} became {new}"


def _digest(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [statement for statement in body if not _is_docstring(statement)]  # type: ignore[attr-defined]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()


def _is_docstring(statement: Any) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _trees(source: Source) -> dict[str, ast.Module]:
    trees: dict[str, ast.Module] = {}
    waiting = [source.file]
    while waiting:
        file = waiting.pop()
        name = _shown(file, source)
        if name not in trees:
            trees[name] = ast.parse(file.read_bytes())
            waiting.extend(_imported_files(trees[name], file, source))
    return trees


def _shown(file: Path, source: Source) -> str:
    bases = [base for base in (source.root, Path.cwd()) if file.is_relative_to(base)]
    return file.relative_to(bases[0]).as_posix() if bases else file.name


def _imported_files(tree: ast.Module, file: Path, source: Source) -> Iterator[Path]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = [(node.level, module), *((node.level, f"{module}.{a.name}".strip(".")) for a in node.names)]
        else:
            continue
        for level, name in names:
            yield from _project_files(level, name, file, source)


def _project_files(level: int, name: str, file: Path, source: Source) -> Iterator[Path]:
    """The files of a dotted name, its packages' __init__.py among them, where they are the project's own."""
    parts = [part for part in name.split(".") if part]
    if level == 0 and (not parts or parts[0] == "tuner" or parts[0] in sys.stdlib_module_names):
        return
    bases = [file.parents[level - 1]] if level else source.importable
    for base in bases:
        for length in range(1, len(parts) + 1):
            path = base.joinpath(*parts[:length])
            for candidate in (path.with_suffix(".py"), path / "__init__.py"):
                if candidate.is_file():
                    yield candidate
