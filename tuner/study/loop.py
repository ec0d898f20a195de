"""The loop of a study: ask, place, advance, report, prune, tell, refill, round after round.

A round is one epoch of every trial that has lanes. It is dispatched first; while the device trains, the next trials
are asked for, so that they are at hand, their programs being compiled, when lanes become free. Then its results are
looked at in the order of trial numbers, and all are reported before any is judged. Asking depends on nothing but what
was told, so with ``deterministic`` the same seed and number of parallel trials give the same study, however long
anything takes; else trials whose program is ready do not wait for those whose program is not.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import optuna
from optuna.trial import TrialState

from tuner.experiment import Experiment
from tuner.lanes.engine import Engine, Wait
from tuner.study.checkpoints import Checkpoint, Keeper, Kept
from tuner.study.foresight import MOST, foreseen
from tuner.study.ledger import Ledger
from tuner.study.running import hyperparameters_of, taken
from tuner.study.samplers import Grid, Seeded
from tuner.study.storage import (
    LeaseLost,
    Storage,
    StudyFull,
    allow_stop,
    is_stopped,
)
from tuner.study.trials import Trials
from tuner.tracking import Sink

Outcome = Literal["finished", "interrupted", "failed"]

_LOOK_SECONDS = 0.3  # from one look at what other workers run to the next
_FAILURES_TO_STOP = 5  # a study whose first trials all fail has a cause that the next ones share

log = logging.getLogger("tuner")


@dataclass(frozen=True)
class Plan:
    """How far a loop goes: trials in all, side by side, the study's seed, seconds until nothing more is asked.

    deterministic: whether the order of events may not depend on how long anything takes.
    """

    trials: int
    parallel: int
    seed: int
    timeout: float | None = None
    deterministic: bool = False

    @property
    def in_hand(self) -> int:
        """Trials that are asked for at most before they end: those side by side, and half as many ahead of need."""
        return self.parallel + (self.parallel + 1) // 2


class Loop:
    """Runs a study to its planned number of trials.

    Args:
        study: Optuna's; its trials that are waiting run first.
        experiment: what is tuned.
        engine: trains the trials.
        sink: is told what happened.
        plan: how far to go.
        ledger: books the time.
        interrupted: asked between steps whether to stop.
        keeper: keeps half-trained trials; None where nothing is kept.
    """

    def __init__(
        self,
        study: optuna.Study,
        experiment: Experiment,
        engine: Engine,
        sink: Sink,
        plan: Plan,
        ledger: Ledger,
        interrupted: Callable[[], bool],
        keeper: Keeper | None,
    ) -> None:
        self._study, self._experiment, self._engine, self._sink = study, experiment, engine, sink
        self._storage = cast("Storage", study._storage)
        self._plan, self._ledger, self._interrupted, self._keeper = plan, ledger, interrupted, keeper
        self._trials = Trials(study, experiment, engine, sink, ledger, deterministic=plan.deterministic)
        self._deadline = math.inf if plan.timeout is None else time.monotonic() + plan.timeout
        self._sampler = study.sampler
        study.sampler = Seeded(study.sampler, plan.seed, lambda: ledger.phase("sampling"))
        self._total = min(plan.trials, len(self._sampler)) if isinstance(self._sampler, Grid) else plan.trials
        self._storage.membership.allow(self._total)
        allow_stop(study)

    def run(self) -> Outcome:
        """Go on until the study holds its trials, time is up, or it is interrupted.

        Trials that are running when it stops early are kept, and go back to waiting.
        """
        outcome: Outcome | None = None
        step: Callable[[], Outcome | None] = self._first_step
        try:
            while outcome is None:
                try:
                    outcome = step()
                except LeaseLost:
                    self._start_over()
                step = self._step
            return outcome
        finally:
            self._engine.settle()
            self._trials.put_back(self._trials.numbers)
            self._engine.close()
            self._study.sampler = self._sampler

    @property
    def last_reason(self) -> str | None:
        """Why the last trial that failed here did."""
        return self._trials.last_reason

    def _first_step(self) -> None:
        if not self._go_on():
            self._refill()

    def _step(self) -> Outcome | None:
        """One round; what the loop ends with, or None while it goes on."""
        self._seat()
        if self._hopeless:
            return "failed"
        if self._interrupted():
            self._keep_all()
            return "interrupted"
        if self._trials:
            self._round()
            self._keep()
        elif not self._await_others():
            return "finished"
        return None

    def _await_others(self) -> bool:
        """Where nothing runs here: wait for what other workers run, and take on what they leave; False at the end."""
        if self._is_late or is_stopped(self._study):
            return False
        self._storage.put_back_strays(self._study._study_id)
        others_run = self._storage.membership.others_run()
        self._storage.refresh(self._study._study_id)
        self._refill()
        if others_run and not self._trials:
            time.sleep(_LOOK_SECONDS)
        return others_run or bool(self._trials)

    def _start_over(self) -> None:
        """Go on as another worker, after the others took this one for dead."""
        log.warning("this worker was silent for so long that others have taken its trials over; it goes on with others")
        self._engine.settle()
        self._trials.drop(self._trials.numbers)
        self._storage.enter_again()
        if self._keeper is not None:
            self._keeper.rename(self._storage.membership.name)

    def _foresee(self, numbers: Iterable[int]) -> None:
        with self._ledger.phase("placing"):
            self._engine.foresee(foreseen(self._sampler, self._experiment.search_space, self._plan.seed, numbers))

    def _go_on(self) -> bool:
        """Take the trials of the last checkpoint on as they were; whether there is any."""
        checkpoint = None if self._keeper is None else self._keeper.found()
        if checkpoint is None:
            created = len(self._study.get_trials(deepcopy=False))
            self._foresee(range(created, min(self._total, created + MOST)))
            if self._keeper is not None and self._plan.deterministic:
                self._keeper.first(self._checkpoint_of([]))
            return False
        space, trials = self._experiment.search_space, self._study.get_trials(deepcopy=False)
        with self._ledger.phase("placing"):
            self._engine.remember(checkpoint.scheduler, lambda number: hyperparameters_of(trials[number], space))
        self._foresee(checkpoint.scheduler["foreseen"])
        with self._ledger.phase("ask_tell"):
            for kept in checkpoint.trials:
                trial = taken(self._study, kept.number)
                if trial is not None:
                    self._trials.resume(trial, kept)
        return bool(self._trials)

    def _keep(self) -> None:
        trials = self._trials
        if self._keeper is not None:
            with self._ledger.phase("checkpoint_wait"):
                self._keeper.look(trials.numbers, self._engine.training, trials.kept, self._checkpoint_of)

    def _keep_all(self) -> None:
        """Look at what is under way, and keep all trials as they are then."""
        if self._keeper is not None:
            while self._engine.is_training:
                self._collect()
            with self._ledger.phase("checkpoint_wait"):
                self._keeper.last(self._trials.numbers, self._trials.kept, self._checkpoint_of)

    def _checkpoint_of(self, trials: Sequence[Kept]) -> Checkpoint:
        states = self._storage.known_states(self._study._study_id)
        waiting = [number for number, state in enumerate(states) if state == TrialState.WAITING]
        return Checkpoint(len(states), waiting, trials, self._engine.scheduler)

    @property
    def _begun(self) -> int:
        """Trials of the study that run or have ended, here and elsewhere."""
        return self._storage.begun(self._study._study_id)

    @property
    def _hopeless(self) -> bool:
        """Whether the study's first trials have all failed."""
        if self._trials.succeeded:
            return False
        states = self._storage.known_states(self._study._study_id)
        self._trials.succeeded = TrialState.COMPLETE in states or TrialState.PRUNED in states
        return not self._trials.succeeded and states.count(TrialState.FAIL) >= min(_FAILURES_TO_STOP, self._total)

    @property
    def _is_late(self) -> bool:
        return time.monotonic() >= self._deadline

    def _may_ask(self) -> bool:
        return (
            len(self._trials) < self._plan.in_hand
            and self._begun < self._total
            and not self._is_late
            and not is_stopped(self._study)
            and (self._plan.deterministic or not self._interrupted())  # else what is asked would depend on when
            and not self._hopeless
        )

    def _refill(self) -> None:
        """Ask for trials one by one; while others train, no longer than they do, so that the device never waits."""
        while self._may_ask():
            with self._ledger.phase("ask_tell"):
                if not self._ask():
                    break
            if self._engine.is_training:
                self._place()
            if self._engine.has_landed and not self._plan.deterministic:
                break
        self._place()
        if self._begun >= self._total:
            self._engine.no_more()

    def _place(self) -> None:
        with self._ledger.phase("placing"):
            self._engine.place()

    def _ask(self) -> bool:
        """Begin a trial: one that waits, else a new one; False where another worker's was the last."""
        try:
            trial = self._study.ask()
        except StudyFull:
            return False
        self._trials.start(trial, (lambda _: None) if self._keeper is None else self._keeper.inherited)
        return True

    def _seat(self) -> None:
        if self._is_late:
            self._trials.put_back(set(self._trials.numbers) - self._engine.seated)
        until: Wait = "all" if self._plan.deterministic else "none" if self._engine.seated else "first"
        with self._ledger.phase("compile_wait"):
            failures = self._engine.seat(until)
        self._trials.note_placements()
        self._trials.fail_as_raised(failures)
        if failures:
            self._refill()

    def _round(self) -> None:
        self._engine.dispatch()
        self._refill()
        self._collect()

    def _collect(self) -> None:
        with self._ledger.phase("device_wait"):
            results = self._engine.collect()
        with self._ledger.phase("ask_tell"):
            before = len(self._trials)
            self._trials.measure(results)
        if len(self._trials) < before:
            states = self._storage.known_states(self._study._study_id)
            self._sink.study_counted(sum(state.is_finished() for state in states))
