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
import traceback
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, cast

import optuna
from optuna.trial import TrialState

from tuner.errors import InputError
from tuner.experiment import Experiment, resolve
from tuner.lanes.engine import Engine, Wait
from tuner.lanes.results import EpochResult
from tuner.study.checkpoints import Checkpoint, Keeper, Kept
from tuner.study.foresight import MOST, foreseen
from tuner.study.ledger import Ledger
from tuner.study.pruners import judges
from tuner.study.record import HISTORY, PLACEMENT, REASON, History, jsonable
from tuner.study.running import Running, divergence, hyperparameters_of, kept_of, resumed, taken
from tuner.study.samplers import Grid, Seeded
from tuner.study.storage import (
    RESOLVED,
    LeaseLost,
    Storage,
    StudyFull,
    allow_stop,
    is_stopped,
    report_epochs,
    set_attributes,
)
from tuner.study.stored import trial_record
from tuner.tracking import Sink, TrialRecord
from tuner.training.settings import setting

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
        self._running: dict[int, Running] = {}
        self._deadline = math.inf if plan.timeout is None else time.monotonic() + plan.timeout
        self._succeeded = False  # whether any trial is known to have
        self._sampler = study.sampler
        study.sampler = Seeded(study.sampler, plan.seed, lambda: ledger.phase("sampling"))
        self._total = min(plan.trials, len(self._sampler)) if isinstance(self._sampler, Grid) else plan.trials
        self._storage.membership.allow(self._total)
        self.last_reason: str | None = None
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
            self._put_back(list(self._running))
            self._engine.close()
            self._study.sampler = self._sampler

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
        if self._running:
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
        if others_run and not self._running:
            time.sleep(_LOOK_SECONDS)
        return others_run or bool(self._running)

    def _start_over(self) -> None:
        """Go on as another worker, after the others took this one for dead."""
        log.warning("this worker was silent for so long that others have taken its trials over; it goes on with others")
        self._engine.settle()
        for number in list(self._running):
            self._drop(number)
        self._storage.enter_again()

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
                    self._resume(trial, kept)
        return bool(self._running)

    def _resume(self, trial: optuna.Trial, kept: Kept) -> None:
        running = self._running[trial.number] = resumed(self._study, self._experiment, self._engine, trial, kept)
        self._show_again(running)

    def _show_again(self, running: Running) -> None:
        number = running.trial.number
        with self._ledger.phase("tracking_wait"):
            self._sink.trial_started(self._record(running, again=True))
            for index in range(len(running.history.folds)):
                self._sink.epoch(number, index + 1, running.history.epoch(index))

    def _keep(self) -> None:
        if self._keeper is not None:
            with self._ledger.phase("checkpoint_wait"):
                self._keeper.look(list(self._running), self._engine.training, self._kept, self._checkpoint_of)

    def _keep_all(self) -> None:
        """Look at what is under way, and keep all trials as they are then."""
        if self._keeper is not None:
            while self._engine.is_training:
                self._collect()
            with self._ledger.phase("checkpoint_wait"):
                self._keeper.last(list(self._running), self._kept, self._checkpoint_of)

    def _kept(self, number: int) -> Kept | None:
        return kept_of(self._study, self._running[number], self._engine.snapshot(number))

    def _checkpoint_of(self, trials: Sequence[Kept]) -> Checkpoint:
        all_trials = self._study.get_trials(deepcopy=False)
        waiting = [trial.number for trial in all_trials if trial.state == TrialState.WAITING]
        return Checkpoint(len(all_trials), waiting, trials, self._engine.scheduler)

    @property
    def _begun(self) -> int:
        """Trials of the study that run or have ended, here and elsewhere."""
        return self._storage.begun(self._study._study_id)

    @property
    def _hopeless(self) -> bool:
        """Whether the study's first trials have all failed."""
        if self._succeeded:
            return False
        states = [trial.state for trial in self._study.get_trials(deepcopy=False)]
        self._succeeded = TrialState.COMPLETE in states or TrialState.PRUNED in states
        return not self._succeeded and states.count(TrialState.FAIL) >= min(_FAILURES_TO_STOP, self._total)

    @property
    def _is_late(self) -> bool:
        return time.monotonic() >= self._deadline

    def _may_ask(self) -> bool:
        return (
            len(self._running) < self._plan.in_hand
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
        began_before = RESOLVED in self._storage.get_trial(trial._trial_id).user_attrs
        kept = self._keeper.inherited(trial.number) if began_before and self._keeper is not None else None
        if kept is not None:
            self._resume(trial, kept)
        else:
            self._begin(trial, again=began_before)
        return True

    def _begin(self, trial: optuna.Trial, *, again: bool) -> None:
        history = History(self._experiment.metric, curves=self._experiment.curves)
        running = self._running[trial.number] = Running(trial, int(time.time() * 1000), history)
        try:
            hyperparameters = resolve(self._experiment.search_space, trial)
            self._engine.check(hyperparameters)
            running.patience = setting(hyperparameters, "patience")
            self._engine.add(trial.number, hyperparameters)
        except InputError as error:
            self._fail(trial.number, str(error))
            return
        set_attributes(self._storage, trial._trial_id, {RESOLVED: jsonable(hyperparameters)})
        with self._ledger.phase("tracking_wait"):
            self._sink.trial_started(self._record(running, again=again))

    @staticmethod
    def _record(running: Running, *, again: bool) -> TrialRecord:
        trial = running.trial
        return TrialRecord(trial.number, "running", dict(trial.params), running.started, again=again)

    def _seat(self) -> None:
        if self._is_late:
            self._put_back(set(self._running) - self._engine.seated)
        until: Wait = "all" if self._plan.deterministic else "none" if self._engine.seated else "first"
        with self._ledger.phase("compile_wait"):
            failures = self._engine.seat(until)
        for number, error in failures.items():
            log.error("trial %d: the model raises\n%s", number, "".join(traceback.format_exception(error)))
            with self._ledger.phase("ask_tell"):
                self._fail(number, f"the model raises {type(error).__name__}: {error}")
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
            metric = self._experiment.metric
            reasons = {number: reason for number, r in results.items() if (reason := divergence(r, metric))}
            for number, result in results.items():
                self._running[number].history.add(result.metrics, result.train_loss)
            self._report({number: result for number, result in results.items() if number not in reasons})
            for number, result in results.items():
                self._decide(number, result.epoch, reasons.get(number))

    def _report(self, results: dict[int, EpochResult]) -> None:
        reports = []
        for number, result in results.items():
            running = self._running[number]
            reports.append((running.trial._trial_id, result.epoch, running.history.last))
            with self._ledger.phase("tracking_wait"):
                self._sink.epoch(number, result.epoch, running.history.epoch(-1))
        report_epochs(self._storage, reports)

    def _decide(self, number: int, epoch: int, divergence: str | None) -> None:
        if divergence:
            log.warning("trial %d failed: %s", number, divergence)
            self._fail(number, divergence)
        elif epoch >= self._experiment.epochs or self._is_stalled(number):
            self._end(number, TrialState.COMPLETE, value=self._running[number].history.last)
        elif judges(self._study.pruner, epoch) and self._is_pruned(number):
            self._end(number, TrialState.PRUNED, reason=f"pruned after epoch {epoch}")

    def _is_stalled(self, number: int) -> bool:
        running = self._running[number]
        return running.history.is_stalled(running.patience, self._study.direction)

    def _is_pruned(self, number: int) -> bool:
        """Ask the pruner about the trial as the database holds it: reports go there without passing Optuna's trial."""
        frozen = self._storage.get_trial(self._running[number].trial._trial_id)
        return self._study.pruner.prune(self._study, frozen)

    def _fail(self, number: int, reason: str) -> None:
        self.last_reason = reason
        self._end(number, TrialState.FAIL, reason=reason)

    def _end(self, number: int, state: TrialState, value: float | None = None, reason: str | None = None) -> None:
        running = self._running.pop(number)
        history = running.history
        attributes: dict[str, Any] = {HISTORY: {"folds": history.folds, "means": history.means}}
        attributes |= {} if reason is None else {REASON: reason}
        placement = self._engine.placement_of(number)
        attributes |= {} if placement is None else {PLACEMENT: placement}
        self._engine.remove(number)
        set_attributes(self._storage, running.trial._trial_id, attributes)
        frozen = self._study.tell(running.trial, value, state)
        self._succeeded |= state in {TrialState.COMPLETE, TrialState.PRUNED}
        with self._ledger.phase("tracking_wait"):
            self._sink.trial_ended(trial_record(frozen, self._experiment.metric, self._experiment.curves))

    def _put_back(self, numbers: Collection[int]) -> None:
        with suppress(LeaseLost):  # then others have done it
            self._storage.requeue([self._running[number].trial._trial_id for number in numbers])
        for number in numbers:
            self._drop(number)

    def _drop(self, number: int) -> None:
        del self._running[number]
        self._sink.trial_requeued(number)
        self._engine.remove(number)
