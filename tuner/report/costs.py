"""What a study cost, in words: where its time went, what its programs gave, and why each was compiled."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Cost = Mapping[str, Any]

PHASES = {
    "startup": "starting up",
    "compile_wait": "waiting for compilers",
    "device_wait": "training",
    "sampling": "sampling",
    "placing": "placing",
    "ask_tell": "asking, reporting, telling",
    "tracking_wait": "waiting for tracking",
    "checkpoint_wait": "keeping half-trained trials",
    "other": "other",
}
"""The exclusive seconds of a cost, in the order of a study."""

_BACKGROUND = {"compile": "compiling", "tracking": "tracking", "checkpoint": "checkpoints"}
_ROWS = 40  # of the table of programs: a static float can make as many programs as trials


def cost_in_short(cost: Cost) -> list[str]:
    """Where the time went and what the programs gave, a line each."""
    wall = cost["wall_seconds"]
    phases = [f"{words} {seconds:.1f} ({seconds / wall:.0%})" for words, seconds in _phases(cost) if seconds >= 0.05]
    return [
        f"  cost        {wall:.1f} s" + (f": {', '.join(phases)}" if phases else ""),
        *_background(cost),
        *_gains(cost),
    ]


def cost_in_full(cost: Cost, total: Cost) -> list[str]:
    """The same with a line for each phase, the sum over all runs of the study, and why each program was compiled.

    Args:
        cost: of the last run.
        total: of all runs; empty where it is not known.
    """
    wall, phases = cost["wall_seconds"], list(_phases(cost))
    width = max((len(words) for words, _ in phases), default=0)
    return [
        f"  cost        {wall:.1f} s of the loop, which were",
        *(f"              {words:<{width}}{seconds:>9.1f} s{seconds / wall:>6.0%}" for words, seconds in phases),
        *_background(cost),
        *_all_runs(cost, total),
        *_gains(cost),
        *(f"              {line}" for line in _table(cost.get("compiled", []))),
    ]


def _phases(cost: Cost) -> Iterator[tuple[str, float]]:
    """The phases in words, with their seconds; a study of before a phase was booked does not have it."""
    return ((words, cost[phase]) for phase, words in PHASES.items() if phase in cost)


def _background(cost: Cost) -> list[str]:
    known = cost.get("background", {})
    parts = [f"{words} {known[name]:.1f} s" for name, words in _BACKGROUND.items() if name in known]
    return [f"  background  {', '.join(parts)}"] if parts else []


def _all_runs(cost: Cost, total: Cost) -> list[str]:
    if total.get("wall_seconds", 0.0) <= cost["wall_seconds"]:
        return []
    return [f"  all runs    {total['wall_seconds']:.1f} s; {_compilations(total)}"]


def _gains(cost: Cost) -> list[str]:
    parts = [f"{cost['programs']} used"] if "programs" in cost else []
    parts += [_compilations(cost)] if "compilations" in cost else []
    names = {"occupancy": "occupancy", "mask_tax": "mask tax"}
    parts += [f"{words} {cost[name]:.0%}" for name, words in names.items() if name in cost]
    return [f"  programs    {'; '.join(parts)}"] if parts else []


def _compilations(cost: Cost) -> str:
    count, hits = cost.get("compilations", 0), cost.get("cache_hits")
    said = f"{count} compilation{'' if count == 1 else 's'}"
    if hits is None or not count:
        return said
    return f"{said}, {('all' if hits == count else hits) if hits else 'none'} of them from the cache"


def _table(compiled: Sequence[Mapping[str, Any]]) -> list[str]:
    """The programs by batch size, caps, static values and reason; those that differ in nothing of it are one row."""
    varying = _varying(compiled)
    counted = Counter(_row(program, varying) for program in compiled)
    if not counted:
        return []
    rows = [("batch size", "caps and what else differs" if varying else "caps", "why it was compiled")]
    rows += [
        (batch, caps, why + (f" ({count} times)" if count > 1 else "")) for (batch, caps, why), count in counted.items()
    ]
    more = [f"... and {len(rows) - 1 - _ROWS} more: --json has them all"] if len(rows) - 1 > _ROWS else []
    rows = rows[: _ROWS + 1]
    width = max(len(caps) for _, caps, _ in rows)
    return [f"{batch:>10}  {caps:<{width}}  {why}" for batch, caps, why in rows] + more


def _varying(compiled: Iterable[Mapping[str, Any]]) -> list[str]:
    """The paths of static values that are not the same in all programs."""
    seen: dict[str, set[str]] = {}
    for program in compiled:
        for path, value in program.get("static", {}).items():
            seen.setdefault(path, set()).add(str(value))
    return [path for path, values in seen.items() if len(values) > 1]


def _row(program: Mapping[str, Any], varying: Iterable[str]) -> tuple[str, str, str]:
    static = program.get("static", {})
    values = [*program.get("caps", {}).items(), *((path, static[path]) for path in varying if path in static)]
    shown = ", ".join(f"{path} {value}" for path, value in values)
    return str(program.get("batch_size", "-")), shown or "-", program.get("reason", "-")
