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
from collections.abc import Callable, Iterable, Sequence
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
from tuner.study.running import Running, divergence, hyperparameters_of, kept_of, resumed
from tuner.study.samplers import Booked, Grid, set_generators
from tuner.study.storage import RESOLVED, Storage, allow_stop, is_stopped, report_epochs, requeue, set_attributes
from tuner.study.stored import trial_record
from tuner.tracking import Sink, TrialRecord
from tuner.training.settings import setting

Outcome = Literal["finished", "interrupted", "failed"]

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
        states = [trial.state for trial in study.get_trials(deepcopy=False)]
        self._waiting = [number for number, state in enumerate(states) if state == TrialState.WAITING]
        self._created = len(states)
        self._ended = sum(state.is_finished() for state in states)
        self._succeeded = sum(state in {TrialState.COMPLETE, TrialState.PRUNED} for state in states)
        self._sampler = study.sampler
        study.sampler = Booked(study.sampler, lambda: ledger.phase("sampling"))
        self._total = min(plan.trials, len(self._sampler)) if isinstance(self._sampler, Grid) else plan.trials
        self.last_reason: str | None = None
        allow_stop(study)

    def run(self) -> Outcome:
        """Go on until the study holds its trials, time is up, or it is interrupted.

        Trials that are running when it stops early are kept, and go back to waiting.
        """
        try:
            if not self._go_on():
                self._refill()
            while True:
                self._seat()
                if self._hopeless:
                    return "failed"
                if self._interrupted():
                    self._keep_all()
                    return "interrupted"
                if not self._running:
                    return "finished"
                self._round()
                self._keep()
        finally:
            self._engine.settle()
            self._put_back(list(self._running))
            self._engine.close()
            self._study.sampler = self._sampler

    def _foresee(self, numbers: Iterable[int]) -> None:
        with self._ledger.phase("placing"):
            self._engine.foresee(foreseen(self._sampler, self._experiment.search_space, self._plan.seed, numbers))

    def _go_on(self) -> bool:
        """Take the trials of the last checkpoint on as they were; whether there is any."""
        checkpoint = None if self._keeper is None else self._keeper.found()
        if checkpoint is None:
            self._foresee(range(self._created, min(self._total, self._created + MOST)))
            if self._keeper is not None and self._plan.deterministic:
                self._keeper.first(self._checkpoint_of([]))
            return False
        space, trials = self._experiment.search_space, self._study.get_trials(deepcopy=False)
        with self._ledger.phase("placing"):
            self._engine.remember(checkpoint.scheduler, lambda number: hyperparameters_of(trials[number], space))
        self._foresee(checkpoint.scheduler["foreseen"])
        with self._ledger.phase("ask_tell"):
            for kept in checkpoint.trials:
                running = resumed(self._study, self._experiment, self._engine, kept)
                if running is not None:
                    self._waiting.remove(kept.number)
                    self._running[kept.number] = running
                    self._show_again(running)
        return bool(self._running)

    def _show_again(self, running: Running) -> None:
        number = running.trial.number
        with self._ledger.phase("tracking_wait"):
            self._sink.trial_started(TrialRecord(number, "running", dict(running.trial.params), running.started))
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
        return Checkpoint(self._created, list(self._waiting), trials, self._engine.scheduler)

    @property
    def _hopeless(self) -> bool:
        return self._succeeded == 0 and self._ended >= min(_FAILURES_TO_STOP, self._total)

    @property
    def _is_late(self) -> bool:
        return time.monotonic() >= self._deadline

    def _may_ask(self) -> bool:
        return (
            len(self._running) < self._plan.in_hand
            and self._ended + len(self._running) < self._total
            and not self._is_late
            and not is_stopped(self._study)
            and (self._plan.deterministic or not self._interrupted())  # else what is asked would depend on when
            and not self._hopeless
        )

    def _refill(self) -> None:
        """Ask for trials one by one; while others train, no longer than they do, so that the device never waits."""
        while self._may_ask():
            with self._ledger.phase("ask_tell"):
                self._ask()
            if self._engine.is_training:
                self._place()
            if self._engine.has_landed and not self._plan.deterministic:
                break
        self._place()
        if self._ended + len(self._running) >= self._total:
            self._engine.no_more()

    def _place(self) -> None:
        with self._ledger.phase("placing"):
            self._engine.place()

    def _ask(self) -> None:
        number = self._waiting.pop(0) if self._waiting else self._created
        self._created = max(self._created, number + 1)
        set_generators(self._sampler, self._plan.seed, number)
        trial = self._study.ask()
        history = History(self._experiment.metric, curves=self._experiment.curves)
        self._running[trial.number] = Running(trial, int(time.time() * 1000), history)
        try:
            hyperparameters = resolve(self._experiment.search_space, trial)
            self._engine.check(hyperparameters)
            self._running[trial.number].patience = setting(hyperparameters, "patience")
            self._engine.add(trial.number, hyperparameters)
        except InputError as error:
            self._fail(trial.number, str(error))
            return
        set_attributes(self._storage, trial._trial_id, {RESOLVED: jsonable(hyperparameters)})
        with self._ledger.phase("tracking_wait"):
            self._sink.trial_started(
                TrialRecord(trial.number, "running", dict(trial.params), self._running[trial.number].started)
            )

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
        self._ended += 1
        self._succeeded += state in {TrialState.COMPLETE, TrialState.PRUNED}
        with self._ledger.phase("tracking_wait"):
            self._sink.trial_ended(trial_record(frozen, self._experiment.metric, self._experiment.curves))

    def _put_back(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            running = self._running.pop(number)
            requeue(self._storage, self._storage.get_trial(running.trial._trial_id))
            self._sink.trial_requeued(number)
            self._engine.remove(number)
