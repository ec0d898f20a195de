"""A study's trials in memory."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

_FINISHED = tuple(state for state in TrialState if state.is_finished())


@dataclass
class Mirror:
    """A study's trials: as the database holds them, and with what is queued for it.

    A trial in it is never changed, only replaced: whoever was given one may keep it.

    trials: by id, in the order of their numbers. ids: by number. unfinished: ids. own: ids of those that run here, so
    that nobody else changes them. distributions: the first of each parameter, which all later ones must fit. seen: the
    id up to which other processes' trials are known. synced, synced_whole: when their states were last read, and all.
    """

    trials: dict[int, FrozenTrial] = field(default_factory=dict)
    ids: dict[int, int] = field(default_factory=dict)
    unfinished: set[int] = field(default_factory=set)
    own: set[int] = field(default_factory=set)
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)
    seen: int = -1
    synced: float = 0.0
    synced_whole: float = 0.0

    def put(self, trial: FrozenTrial, *, own: bool = False) -> None:
        """Add a trial, or replace it.

        Args:
            trial: with its id and number.
            own: whether it runs here.
        """
        if not self._put(trial, own=own):
            self._sort()

    def put_all(self, trials: Iterable[FrozenTrial]) -> None:
        """Add or replace trials as the database has them."""
        in_order = True
        for trial in trials:
            in_order &= self._put(trial, own=False)
            for name, distribution in trial.distributions.items():
                self.distributions.setdefault(name, distribution)
        if not in_order:
            self._sort()

    def _put(self, trial: FrozenTrial, *, own: bool) -> bool:
        """Add a trial at the end, or replace it where it is; whether it belongs there."""
        trial_id = trial._trial_id
        last = next(reversed(self.trials.values()), trial)
        belongs = trial_id in self.trials or last.number <= trial.number
        self.trials[trial_id] = trial
        self.ids[trial.number] = trial_id
        _keep(self.unfinished, trial_id, keep=not trial.state.is_finished())
        _keep(self.own, trial_id, keep=own and trial.state == TrialState.RUNNING)
        return belongs

    def _sort(self) -> None:
        """Those of other processes may be seen late."""
        self.trials = dict(sorted(self.trials.items(), key=lambda item: item[1].number))

    def replace(self, trial: FrozenTrial) -> None:
        """Replace a trial that runs here, or ran here until now."""
        self.trials[trial._trial_id] = trial
        if trial.state.is_finished():
            self.unfinished.discard(trial._trial_id)
            self.own.discard(trial._trial_id)

    def select(self, states: Container[TrialState] | None) -> list[FrozenTrial]:
        """The trials in these states, by number."""
        if states is None:
            return list(self.trials.values())
        if any(state in states for state in _FINISHED):
            return [trial for trial in self.trials.values() if trial.state in states]
        unfinished = (self.trials[trial_id] for trial_id in self.unfinished)
        return sorted((trial for trial in unfinished if trial.state in states), key=lambda trial: trial.number)

    @property
    def begun(self) -> int:
        """How many trials run or have ended."""
        waiting = sum(self.trials[trial_id].state == TrialState.WAITING for trial_id in self.unfinished)
        return len(self.trials) - waiting

    @property
    def foreign(self) -> set[int]:
        """The ids of the unfinished trials that others may change."""
        return self.unfinished - self.own

    def stale(self, states: Mapping[int, TrialState], *, whole: bool) -> list[int]:
        """The ids of the trials that must be read, by what the database says of their states.

        What waits here and there is not read: it is when it is taken. What runs here and there is where the ``whole``
        is wanted.
        """
        same = (TrialState.WAITING,) if whole else (TrialState.WAITING, TrialState.RUNNING)
        known = {trial_id: self.trials[trial_id].state for trial_id in states if trial_id in self.trials}
        settled = {i for i, state in known.items() if state.is_finished() or (state in same and state == states[i])}
        return [trial_id for trial_id in states if trial_id not in self.own and trial_id not in settled]


def _keep(ids: set[int], trial_id: int, *, keep: bool) -> None:
    (ids.add if keep else ids.discard)(trial_id)
