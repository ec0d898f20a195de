"""One run over an open study: the loop, the refit of the best, and what is remembered of them."""

import hashlib
import json
import signal
from collections.abc import Mapping, Sequence
from typing import Any, cast

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState

from tuner.experiment import Checked, Experiment
from tuner.lanes.arrays import Arrays
from tuner.lanes.compilations import Compilations, compilations
from tuner.lanes.engine import Engine
from tuner.lanes.usage import Usage
from tuner.study.checkpoints import Checkpoint, CheckpointFiles, Estate, Keeper, clear_study, folder_of
from tuner.study.interrupt import TERMINATED, Interrupt, interruptible
from tuner.study.ledger import Ledger
from tuner.study.loop import Loop, Outcome, Plan
from tuner.study.opening import Say
from tuner.study.options import Options
from tuner.study.pruners import expected_epochs, may_judge
from tuner.study.record import BEST, COST, COST_TOTAL, MOST_CLASSES, StudyMemory
from tuner.study.result import StudyResult, added, best_known, best_trial, result_of
from tuner.study.running import hyperparameters_of, roll_back
from tuner.study.shown import Draw, finished_trials, last_metrics, study_record
from tuner.study.storage import LeaseLost, Occupied, Storage
from tuner.study.stored import epochs_of, known
from tuner.tracking import Company, CompositeSink, Picture, Sink, open_sink

_LAST_SECONDS = 3  # of those that SIGTERM leaves, for tracking
_ENDING, _TRACKING = "ending", "tracking"  # what one worker does at a time
_IDLE_SECONDS = 60  # for a tracking server that hangs; what it misses is written when the study is resumed


class StudyFailed(RuntimeError):
    """A study whose first trials all failed, or that another worker has taken over. The message says why."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM ended a study early; what was finished is kept.

    Args:
        result: of the study so far.
        code: that the process leaves with.
    """

    def __init__(self, result: StudyResult, code: int) -> None:
        self.result, self.code = result, code
        super().__init__(f"interrupted; go on with: tuner resume {result.study.study_name}")


class Session:
    """One run over an open study: the loop, the refit of the best, and what is remembered of them."""

    def __init__(
        self,
        experiment: Experiment,
        arrays: Arrays,
        checked: Checked,
        study: optuna.Study,
        memory: StudyMemory,
        options: Options,
        ledger: Ledger,
        compiled: Compilations,
        say: Say,
        draw: Draw | None = None,
    ) -> None:
        self._experiment, self._arrays, self._study, self._memory = experiment, arrays, study, memory
        self._options, self._ledger, self._compiled, self._say = options, ledger, compiled, say
        self._draw, self._drawn = draw, False
        self._engine = Engine(
            experiment.model,
            arrays,
            slots=memory.parallel_trials,
            seed=memory.seed,
            static=checked.static,
            budget=expected_epochs(study.pruner, experiment.epochs),
            lockstep=memory.deterministic or may_judge(study.pruner),
            deterministic=memory.deterministic,
        )
        self._storage = cast("Storage", study._storage)
        self._folder = folder_of(options.storage, memory.key, options.checkpoint_dir)
        name = self._storage.membership.name
        self._files = None if self._folder is None else CheckpointFiles(self._folder / name, self._storage.flush)

    def run(self, progress: Sink | None) -> StudyResult:
        """Run the loop; whatever happens, tracking is flushed and the cost is stored.

        Raises:
            Interrupted: by Ctrl-C or SIGTERM.
            StudyFailed: the first trials all failed.
        """
        keeper = self._keeper()
        tracking = open_sink(self._options.tracking_uri, self._company())
        sink = CompositeSink([tracking, progress]) if progress is not None else tracking
        outcome: Outcome = "failed"
        with interruptible() as interrupted:
            try:
                with self._ledger.phase("tracking_wait"):
                    record = study_record(self._study, self._memory, self._options.storage)
                    sink.study_started(record, finished_trials(self._study, self._memory))
                loop = self._loop(sink, interrupted, keeper)
                outcome = loop.run()
                sink.training_ended(self._early_pictures() if outcome == "finished" else ())
            except KeyboardInterrupt:
                outcome = "interrupted"
            except Occupied:
                why = "while this worker was silent, another took the study over, and it must be alone"
                raise StudyFailed(why) from None
            finally:
                outcome = self._end(sink, tracking, outcome, interrupted)
        result = result_of(self._study, self._memory)
        if outcome == "interrupted":
            raise Interrupted(result, TERMINATED if interrupted.terminated else 128 + signal.SIGINT)
        if outcome == "failed":
            raise StudyFailed(f"the first trials all failed, so the study stopped. The last one: {loop.last_reason}")
        return result

    def _end(self, sink: Sink, tracking: Sink, outcome: Outcome, interrupted: Interrupt) -> Outcome:
        """Finish what concerns the study as a whole, one worker after the other, and be no worker any more."""
        seconds = _LAST_SECONDS if interrupted.terminated else None
        try:
            self._storage.flush()
            with self._storage.membership.lock(_ENDING):
                try:
                    if outcome == "finished":
                        self._refit_best()
                except KeyboardInterrupt:
                    outcome = "interrupted"
                last = self._storage.membership.peers() == 0
                if outcome == "finished":
                    self._clear(last=last)
                self._finish(sink, tracking, outcome if last else None, seconds)
                self._storage.leave()
        except LeaseLost:  # others took this worker for dead while it ended, and go on with the study
            sink.close(seconds, _IDLE_SECONDS)
        except StorageInternalError:
            sink.close(
                seconds, _IDLE_SECONDS
            )  # the database is gone: nothing can be said of the study, and what raised says so
            raise
        return outcome

    def _early_pictures(self) -> list[Picture]:
        """What can be drawn while the best trial is refit, unless others still train."""
        if self._storage.membership.peers():
            return []
        found = [picture for picture in self._pictures() if not picture.last]
        self._drawn = bool(found)
        return found

    def _late_pictures(self) -> list[Picture]:
        return [picture for picture in self._pictures() if picture.last or not self._drawn]

    def _pictures(self) -> Sequence[Picture]:
        try:
            return () if self._draw is None else self._draw(self._study, self._memory)
        except Exception as error:  # noqa: BLE001  a study that cannot be drawn has ended all the same
            self._say(f"the study cannot be drawn: {error}")
            return ()

    def _company(self) -> Company:
        membership = self._storage.membership
        return Company(
            exclusive=lambda: membership.lock(_TRACKING),
            alone=lambda: membership.peers() == 0,
            finished=lambda: finished_trials(self._study, self._memory),
        )

    def _keeper(self) -> Keeper | None:
        """What keeps half-trained trials; with ``deterministic``, what has ended since is put back to waiting."""
        if self._files is None or self._folder is None:
            return None
        stands_for = json.dumps([self._memory.fingerprint, self._memory.seed], sort_keys=True)
        experiment = hashlib.sha256(stands_for.encode()).hexdigest()
        membership = self._storage.membership
        estate = Estate(self._folder, experiment, membership.alive)
        checkpoint = estate.adopt(membership.name)
        if checkpoint is not None and not estate.fits(checkpoint):
            self._say("the experiment is not that of the last checkpoint: what had begun starts over")
            checkpoint = None
        if checkpoint is not None:
            self._goes_on(checkpoint)
        return Keeper(self._files, self._options.checkpoint_every, experiment, estate, checkpoint)

    def _clear(self, *, last: bool) -> None:
        """Remove the checkpoints, unless a trial is left to go on: there was no time for it."""
        left = (TrialState.RUNNING, TrialState.WAITING)
        if self._files is None or self._folder is None:
            return
        if not last:
            self._files.clear()
        elif not self._study.get_trials(deepcopy=False, states=left):
            self._files.wait()
            clear_study(self._folder)

    def _goes_on(self, checkpoint: Checkpoint) -> None:
        self._say(f"going on from a checkpoint with {len(checkpoint.trials)} trials under way")
        if differences := checkpoint.differences():
            self._say(f"their values may differ by rounding: {', '.join(differences)}")
        if self._memory.deterministic:
            roll_back(self._study, checkpoint)

    def _loop(self, sink: Sink, interrupted: Interrupt, keeper: Keeper | None) -> Loop:
        plan = Plan(
            trials=self._options.trials,
            parallel=self._memory.parallel_trials,
            seed=self._memory.seed,
            timeout=self._options.timeout,
            deterministic=self._memory.deterministic,
        )
        return Loop(
            self._study,
            self._experiment,
            self._engine,
            sink,
            plan,
            self._ledger,
            interrupted,
            keeper,
        )

    def _refit_best(self) -> None:
        best = best_trial(self._study)
        if best is None:
            return
        found = known(self._study, BEST)
        if found.get("number") == best.number and "test" in found:
            return
        hyperparameters = hyperparameters_of(best, self._experiment.search_space)
        with self._ledger.phase("device_wait"):
            result = self._engine.refit(best.number, hyperparameters, epochs_of(best, self._experiment.epochs))
        values = [float(value) for value in result.metrics[self._experiment.metric]]
        found = {"number": best.number, "test": values}
        if result.confusion is not None and result.confusion.shape[-1] <= MOST_CLASSES:
            found["confusion"] = result.confusion[0].tolist()  # each fold's lane was a refit of its own; one is shown
        self._study.set_user_attr(BEST, found)

    def _finish(self, sink: Sink, tracking: Sink, outcome: Outcome | None, seconds: float | None) -> None:
        """Say how the study ended, unless other workers go on with it, and what this one cost."""
        best = best_trial(self._study)
        with self._ledger.phase("tracking_wait"):
            if outcome is not None:
                pictures = self._late_pictures() if seconds is None else []  # SIGTERM leaves no time to draw
                sink.study_ended(outcome, last_metrics(self._study, self._memory), pictures)
            sink.close(seconds, _IDLE_SECONDS)
        if tracking.problem:
            self._say(f"not all was tracked, `tuner sync {self._study.study_name}` writes it again: {tracking.problem}")
        if best is not None and outcome is not None:
            found = best_known(self._study, best.number)
            self._study.set_user_attr(BEST, found | {"mlflow_run_id": tracking.run_id(best.number)})
        background = {"tracking": tracking.seconds, "checkpoint": 0.0 if self._files is None else self._files.seconds}
        cost = cost_of(self._ledger, compilations() - self._compiled, self._engine.usage, background)
        self._study.set_user_attr(COST_TOTAL, added(known(self._study, COST_TOTAL), cost))
        self._study.set_user_attr(COST, cost)


def cost_of(ledger: Ledger, compiled: Compilations, usage: Usage, background: Mapping[str, float]) -> dict[str, Any]:
    """The ``cost`` of the results: exclusive seconds that sum to the wall time, counts, and shares."""
    return ledger.seconds() | {
        "compilations": compiled.count,
        "cache_hits": compiled.cache_hits,
        "programs": usage.programs,
        "compiled": usage.compiled,
        "occupancy": usage.occupancy,
        "mask_tax": usage.mask_tax,
        "background": {"compile": compiled.seconds, **background},
    }
