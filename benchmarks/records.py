"""A file of results that grows by one finished command at a time, so that an interrupted benchmark goes on."""

import json
from pathlib import Path
from typing import Any

_DIGITS = 6


class Records:
    """The finished commands of a benchmark, written to a JSON file whenever one is added.

    Args:
        path: the file.
        heading: what was measured, where and with what; results under another heading do not mix.
        fresh: sides whose results are forgotten; None forgets nothing.
    """

    def __init__(self, path: Path, heading: dict[str, Any], fresh: list[str] | None) -> None:
        self._path = path
        known = json.loads(path.read_text()) if path.is_file() else {}
        runs = known.pop("runs", {})
        self.shared: dict[str, Any] = known.pop("shared", {})
        self.runs: dict[str, dict[str, Any]] = {side: run for side, run in runs.items() if side not in (fresh or [])}
        if not self.runs:
            self.shared = {}
        elif known != heading:
            changed = ", ".join(name for name in heading if heading[name] != known.get(name))
            raise SystemExit(f"{path} was measured with another {changed}; --fresh forgets it")
        self._heading = heading

    def get(self, side: str, key: object) -> dict[str, Any] | None:
        """The result of a side's command, if it is there."""
        found: dict[str, Any] | None = self.runs.get(side, {}).get(str(key))
        return found

    def all_of(self, side: str) -> list[dict[str, Any]]:
        """All results of a side."""
        return list(self.runs.get(side, {}).values())

    def add(self, side: str, key: object, result: dict[str, Any]) -> None:
        """Adds a result and writes the file."""
        self.runs.setdefault(side, {})[str(key)] = _rounded(result)
        self.write()

    def write(self) -> None:
        """Writes the file, in one step."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".tmp")
        draft.write_text(_text(self._heading | {"shared": self.shared, "runs": self.runs}, 3) + "\n")
        draft.replace(self._path)


def _rounded(value: Any) -> Any:
    """The same with fewer digits in its floats: results are read by people too."""
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return round(value, _DIGITS) if isinstance(value, float) else value


def _text(value: Any, levels: int, indent: str = "") -> str:
    """JSON with a line for each item of the outer levels, and one line for all inside."""
    if not levels or not isinstance(value, dict | list) or not value:
        return json.dumps(value)
    inner = indent + " "
    if isinstance(value, list):
        parts, brackets = [_text(part, levels - 1, inner) for part in value], "[]"
    else:
        parts = [f"{json.dumps(name)}: {_text(part, levels - 1, inner)}" for name, part in value.items()]
        brackets = "{}"
    return brackets[0] + "\n" + ",\n".join(inner + part for part in parts) + "\n" + indent + brackets[1]
