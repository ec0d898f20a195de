"""Which trial trained where and when."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import optuna
from optuna.trial import FrozenTrial, TrialState

from tuner.report.figures.figure import Figure, LeftOut
from tuner.report.figures.marks import BLUE, GREY, RED, Axis, Panel, Panels, Spans
from tuner.study.record import state_name
from tuner.study.stored import caps_of, measured, seat_of

_LONGEST_PAUSE = 0.05  # of what was trained
_COLOURS = {TrialState.COMPLETE: BLUE, TrialState.PRUNED: GREY, TrialState.FAIL: RED}


@dataclass(frozen=True)
class Sitting:
    """A trial that trained from a moment to another, in seconds; place: worker and slot, None where not stored."""

    trial: FrozenTrial
    start: float
    end: float
    place: tuple[str, int] | None


def lane_timeline(study: optuna.Study) -> Figure | LeftOut:
    """Which trial sat where from when to when."""
    title, found = "Lanes over time", sittings_of(study.get_trials(deepcopy=False))
    if not found:
        return LeftOut(title, "no trial that has ended was trained")
    sittings = without_pauses(found)
    stored = all(sitting.place is not None for sitting in sittings)
    rows = stored_rows(sittings) if stored else packed_rows(sittings)
    began = min(sitting.start for sitting in sittings)
    marks = [_spans(state, rows, sittings, began) for state in _COLOURS]
    axis = Axis("", ticks=_names(rows, sittings) if stored else {row: f"row {row + 1}" for row in set(rows)})
    panel = Panel(Axis("seconds since the first trial had its lanes"), axis, [mark for mark in marks if mark.rows])
    sentence = (
        "Each bar is one trial with all its folds, from when it got lanes to when it ended, and a gap in a row is a "
        "place where nobody trained."
    )
    return Figure("lanes", title, sentence, Panels([panel]), _note(rows, found, sittings, stored=stored))


def sittings_of(trials: Iterable[FrozenTrial]) -> list[Sitting]:
    """The trials that have ended and were trained, by when they began."""
    found = [sitting for trial in trials if (sitting := _sitting(trial)) is not None]
    return sorted(found, key=lambda sitting: (sitting.start, sitting.trial.number))


def without_pauses(sittings: Sequence[Sitting]) -> list[Sitting]:
    """The same, where nobody sat anywhere no longer than a twentieth of what was trained: a night, till it went on.

    Args:
        sittings: by when they began.
    """
    trained, until = 0.0, sittings[0].start
    for sitting in sittings:
        trained += max(sitting.end - max(sitting.start, until), 0.0)
        until = max(until, sitting.end)
    cut, until, shifted = 0.0, sittings[0].start, []
    for sitting in sittings:
        cut += max(sitting.start - until - _LONGEST_PAUSE * trained, 0.0)
        until = max(until, sitting.end)
        shifted.append(replace(sitting, start=sitting.start - cut, end=sitting.end - cut))
    return shifted


def stored_rows(sittings: Sequence[Sitting]) -> list[int]:
    """A row for each place of each worker, the workers in the order in which they came."""
    workers = _workers(sittings)
    places = sorted({s.place for s in sittings if s.place}, key=lambda place: (workers.index(place[0]), place[1]))
    return [places.index(sitting.place) for sitting in sittings if sitting.place]


def packed_rows(sittings: Sequence[Sitting]) -> list[int]:
    """The first row that is free when a trial begins."""
    free_at: list[float] = []
    rows = []
    for sitting in sittings:
        row = next((row for row, end in enumerate(free_at) if end <= sitting.start), len(free_at))
        free_at[row : row + 1] = [sitting.end]
        rows.append(row)
    return rows


def busy_share(rows: Sequence[int], sittings: Sequence[Sitting]) -> float:
    """How much of all rows' time trials sat in, from the first beginning to the last end."""
    whole = max(sitting.end for sitting in sittings) - min(sitting.start for sitting in sittings)
    busy = sum(sitting.end - sitting.start for sitting in sittings)
    return busy / (whole * len(set(rows))) if whole > 0 else 1.0


def _sitting(trial: FrozenTrial) -> Sitting | None:
    if trial.state not in _COLOURS or trial.datetime_start is None or trial.datetime_complete is None:
        return None
    seat, end = seat_of(trial), _seconds(trial.datetime_complete)
    if seat is None:
        return None if measured(trial) is None else Sitting(trial, _seconds(trial.datetime_start), end, None)
    return Sitting(trial, min(seat["since"] / 1000, end), end, (seat["worker"], seat["slot"]))


def _seconds(moment: datetime) -> float:
    return moment.timestamp()


def _workers(sittings: Sequence[Sitting]) -> list[str]:
    return list(dict.fromkeys(sitting.place[0] for sitting in sittings if sitting.place))


def _names(rows: Sequence[int], sittings: Sequence[Sitting]) -> dict[int, str]:
    workers = _workers(sittings)
    places = {row: sitting.place for row, sitting in zip(rows, sittings, strict=True) if sitting.place}
    prefix = {worker: f"run {index}, " if len(workers) > 1 else "" for index, worker in enumerate(workers, 1)}
    return {row: f"{prefix[worker]}place {slot + 1}" for row, (worker, slot) in places.items()}


def _spans(state: TrialState, rows: Sequence[int], sittings: Sequence[Sitting], began: float) -> Spans:
    of_state = [(row, sitting) for row, sitting in zip(rows, sittings, strict=True) if sitting.trial.state == state]
    return Spans(
        name=state_name(state),
        rows=[row for row, _ in of_state],
        starts=[sitting.start - began for _, sitting in of_state],
        ends=[sitting.end - began for _, sitting in of_state],
        texts=[_text(sitting) for _, sitting in of_state],
        colour=_COLOURS[state],
    )


def _text(sitting: Sitting) -> str:
    caps = ", ".join(f"{path} {cap}" for path, cap in caps_of(sitting.trial).items())
    seconds = f"trial {sitting.trial.number}: {sitting.end - sitting.start:.3g} s"
    return f"{seconds}, in a program of {caps}" if caps else seconds


def _note(rows: Sequence[int], found: Sequence[Sitting], sittings: Sequence[Sitting], *, stored: bool) -> str:
    share = f"Trials sat in {busy_share(rows, sittings):.0%} of what is shown."
    share += " Pauses of the whole study are shortened." if sittings[-1].start < found[-1].start else ""
    if stored:
        return f"{share} A trial that went on after an interruption is shown from where it went on."
    packed = "Where trials sat was not stored: each is in the first row that was free when it was asked for"
    return f"{packed}, which is before it had lanes. {share}"
