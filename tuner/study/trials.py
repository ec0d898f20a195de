"""The trials that a worker runs: what happens to each goes to the engine, to the database and to tracking."""

import logging
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any, cast

import optuna
from optuna.trial import TrialState

from tuner.errors import InputError
from tuner.experiment import Experiment, resolve
from tuner.lanes.engine import Engine
from tuner.lanes.results import EpochResult
from tuner.study.checkpoints import Kept
from tuner.study.ledger import Ledger
from tuner.study.pruners import judges
from tuner.study.record import HISTORY, PLACEMENT, REASON, SEAT, History, jsonable
from tuner.study.running import Running, divergence, kept_of, resumed, take_on
from tuner.study.storage import RESOLVED, LeaseLost, Storage, report_epochs, set_attributes
from tuner.study.stored import placed_before, trial_record
from tuner.tracking import Sink, TrialRecord
from tuner.training.settings import setting

log = logging.getLogger("tuner")


class Trials:
    """The trials of a study that run here.

    Args:
        study: Optuna's.
        experiment: what is tuned.
        engine: trains them.
        sink: is told what happens.
        ledger: books the time.
        deterministic: whether placing follows from the trials' order alone, so that nothing of it is replayed.

    Attributes:
        succeeded: whether any is known to have.
        last_reason: why the last one that failed did.
    """

    def __init__(
        self,
        study: optuna.Study,
        experiment: Experiment,
        engine: Engine,
        sink: Sink,
        ledger: Ledger,
        *,
        deterministic: bool,
    ) -> None:
        self._study, self._experiment, self._engine, self._sink = study, experiment, engine, sink
        self._storage, self._ledger, self._deterministic = cast("Storage", study._storage), ledger, deterministic
        self._running: dict[int, Running] = {}
        self._noted: set[int] = set()  # whose placement is stored
        self.succeeded = False
        self.last_reason: str | None = None

    def __len__(self) -> int:
        return len(self._running)

    @property
    def numbers(self) -> list[int]:
        """Those that run, in the order in which they began."""
        return list(self._running)

    def start(self, trial: optuna.Trial, inherited: Callable[[int], Kept | None]) -> None:
        """Train a trial that was asked for: as it was kept where it had begun before and was, else from the beginning.

        Args:
            trial: Optuna's.
            inherited: a trial as it was kept, by its number; None where it was not.
        """
        attributes = self._storage.get_trial(trial._trial_id).user_attrs
        began_before = RESOLVED in attributes
        kept = inherited(trial.number) if began_before else None
        if kept is not None:
            self.resume(trial, kept)
        else:
            self._begin(trial, again=began_before)

    def resume(self, trial: optuna.Trial, kept: Kept) -> None:
        """Train a trial on as it was kept."""
        running = resumed(self._study, self._experiment, self._engine, trial, kept)
        self._running[trial.number] = running
        with self._ledger.phase("tracking_wait"):
            self._sink.trial_started(_record(running, again=True))
            for index in range(len(running.history.folds)):
                self._sink.epoch(trial.number, index + 1, running.history.epoch(index))

    def _begin(self, trial: optuna.Trial, *, again: bool) -> None:
        history = History(self._experiment.metric, curves=self._experiment.curves)
        running = self._running[trial.number] = Running(trial, int(time.time() * 1000), history)
        frozen = self._storage.get_trial(trial._trial_id)
        replayed = placed_before(frozen) if again and not self._deterministic else None
        try:
            hyperparameters = resolve(self._experiment.search_space, trial)
            self._engine.check(hyperparameters)
            running.patience = setting(hyperparameters, "patience")
            take_on(self._engine, trial.number, hyperparameters, replayed)
        except InputError as error:
            self.fail(trial.number, str(error))
            return
        set_attributes(self._storage, trial._trial_id, {RESOLVED: jsonable(hyperparameters)})
        with self._ledger.phase("tracking_wait"):
            self._sink.trial_started(_record(running, again=again))

    def note_placements(self) -> None:
        """Store which program trains each trial that has got its lanes: one that starts over is trained by it again.

        And since when it sits where, for the picture of it: a trial is asked for some time before it has lanes.
        """
        now, worker = int(time.time() * 1000), self._storage.membership.name
        for number in self._engine.seated - self._noted:
            self._noted.add(number)
            placement = self._engine.placement_of(number)
            seat = {"worker": worker, "slot": self._engine.slot_of(number), "since": now}
            set_attributes(self._storage, self._running[number].trial._trial_id, {PLACEMENT: placement, SEAT: seat})

    def kept(self, number: int) -> Kept | None:
        """What a checkpoint holds of a trial, which does not train now; None where there is nothing to keep."""
        return kept_of(self._study, self._running[number], self._engine.snapshot(number))

    def measure(self, results: Mapping[int, EpochResult]) -> None:
        """Report an epoch of trials, in the order of their numbers, and end those that it was the last of."""
        metric = self._experiment.metric
        reasons = {number: reason for number, r in results.items() if (reason := divergence(r, metric))}
        for number, result in results.items():
            self._running[number].history.add(result.metrics, result.train_loss)
        self._report({number: result for number, result in results.items() if number not in reasons})
        for number, result in results.items():
            self._decide(number, result.epoch, reasons.get(number))

    def _report(self, results: Mapping[int, EpochResult]) -> None:
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
            self.fail(number, divergence)
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

    def fail_as_raised(self, failures: Mapping[int, Exception]) -> None:
        """End trials whose model raised."""
        for number, error in failures.items():
            log.error("trial %d: the model raises\n%s", number, "".join(traceback.format_exception(error)))
            with self._ledger.phase("ask_tell"):
                self.fail(number, f"the model raises {type(error).__name__}: {error}")

    def fail(self, number: int, reason: str) -> None:
        """End a trial that cannot be trained on."""
        self.last_reason = reason
        self._end(number, TrialState.FAIL, reason=reason)

    def _end(self, number: int, state: TrialState, value: float | None = None, reason: str | None = None) -> None:
        running = self._running.pop(number)
        history = running.history
        attributes: dict[str, Any] = {HISTORY: {"folds": history.folds, "means": history.means}}
        attributes |= {} if reason is None else {REASON: reason}
        placement = self._engine.placement_of(number)
        attributes |= {} if placement is None else {PLACEMENT: placement}
        self._forget(number)
        set_attributes(self._storage, running.trial._trial_id, attributes)
        frozen = self._study.tell(running.trial, value, state)
        self.succeeded |= state in {TrialState.COMPLETE, TrialState.PRUNED}
        with self._ledger.phase("tracking_wait"):
            self._sink.trial_ended(trial_record(frozen, self._experiment.metric, self._experiment.curves))

    def put_back(self, numbers: Collection[int]) -> None:
        """Let trials wait again, as they were kept."""
        with suppress(LeaseLost):  # then others have done it
            self._storage.requeue([self._running[number].trial._trial_id for number in numbers])
        self.drop(numbers)

    def drop(self, numbers: Collection[int]) -> None:
        """Know trials no more that run elsewhere, or wait."""
        for number in numbers:
            del self._running[number]
            self._sink.trial_requeued(number)
            self._forget(number)

    def _forget(self, number: int) -> None:
        self._engine.remove(number)
        self._noted.discard(number)


def _record(running: Running, *, again: bool) -> TrialRecord:
    trial = running.trial
    return TrialRecord(trial.number, "running", dict(trial.params), running.started, again=again)
