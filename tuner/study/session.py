"""One run over an open study: the loop, the refit of the best, and what is remembered of them."""

import hashlib
import json
import signal
from collections.abc import Mapping
from typing import Any, cast

import optuna
from optuna.trial import TrialState

from tuner.experiment import Checked, Experiment
from tuner.experiment.fingerprint import describe_field
from tuner.lanes.arrays import Arrays
from tuner.lanes.compilations import Compilations, compilations
from tuner.lanes.engine import Engine
from tuner.lanes.usage import Usage
from tuner.study.checkpoints import Checkpoint, CheckpointFiles, Keeper, folder_of
from tuner.study.interrupt import TERMINATED, Interrupt, interruptible
from tuner.study.ledger import Ledger
from tuner.study.loop import Loop, Outcome, Plan
from tuner.study.opening import Say
from tuner.study.options import Options
from tuner.study.pruners import expected_epochs, may_judge
from tuner.study.record import BEST, COST, COST_TOTAL, StudyMemory
from tuner.study.result import StudyResult, added, best_trial, result_of
from tuner.study.running import hyperparameters_of, roll_back
from tuner.study.storage import Storage, without_password
from tuner.study.stored import epochs_of, known, trial_record
from tuner.tracking import CompositeSink, ConfusionMatrix, Sink, StudyRecord, TrialRecord, open_sink

_MOST_CLASSES = 100  # of a confusion matrix that is kept
_LAST_SECONDS = 3  # of those that SIGTERM leaves, for tracking
_FLUSH_SECONDS = 60  # for a tracking server that hangs; what it misses is written when the study is resumed


class StudyFailed(RuntimeError):
    """A study whose first trials all failed. The message says why."""


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
    ) -> None:
        self._experiment, self._arrays, self._study, self._memory = experiment, arrays, study, memory
        self._options, self._ledger, self._compiled, self._say = options, ledger, compiled, say
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
        folder = folder_of(options.storage, memory.key, options.checkpoint_dir)
        flush = cast("Storage", study._storage).flush
        self._files = None if folder is None else CheckpointFiles(folder, flush)

    def run(self, progress: Sink | None) -> StudyResult:
        """Run the loop; whatever happens, tracking is flushed and the cost is stored.

        Raises:
            Interrupted: by Ctrl-C or SIGTERM.
            StudyFailed: the first trials all failed.
        """
        keeper = self._keeper()
        tracking = open_sink(self._options.tracking_uri)
        sink = CompositeSink([tracking, progress]) if progress is not None else tracking
        outcome: Outcome = "failed"
        with interruptible() as interrupted:
            try:
                with self._ledger.phase("tracking_wait"):
                    sink.study_started(self._study_record(), self._finished_trials())
                loop = self._loop(sink, interrupted, keeper)
                outcome = loop.run()
                sink.training_ended()
                if outcome == "finished":
                    self._refit_best()
                    self._clear()
            except KeyboardInterrupt:
                outcome = "interrupted"
            finally:
                self._finish(sink, tracking, outcome, _LAST_SECONDS if interrupted.terminated else _FLUSH_SECONDS)
        result = result_of(self._study, self._memory)
        if outcome == "interrupted":
            raise Interrupted(result, TERMINATED if interrupted.terminated else 128 + signal.SIGINT)
        if outcome == "failed":
            raise StudyFailed(f"the first trials all failed, so the study stopped. The last one: {loop.last_reason}")
        return result

    def _keeper(self) -> Keeper | None:
        """What keeps half-trained trials; with ``deterministic``, what has ended since is put back to waiting."""
        if self._files is None:
            return None
        stands_for = json.dumps([self._memory.fingerprint, self._memory.seed], sort_keys=True)
        experiment = hashlib.sha256(stands_for.encode()).hexdigest()
        checkpoint = self._files.latest()
        if checkpoint is not None and checkpoint.experiment != experiment:
            self._say("the experiment is not that of the last checkpoint: what had begun starts over")
            checkpoint = None
        if checkpoint is not None:
            self._goes_on(checkpoint)
        return Keeper(self._files, self._options.checkpoint_every, experiment, checkpoint)

    def _clear(self) -> None:
        """Remove the checkpoints, unless a trial is left to go on: there was no time for it."""
        left = (TrialState.RUNNING, TrialState.WAITING)
        if self._files is not None and not self._study.get_trials(deepcopy=False, states=left):
            self._files.clear()

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
        if result.confusion is not None and result.confusion.shape[-1] <= _MOST_CLASSES:
            found["confusion"] = result.confusion[0].tolist()  # each fold's lane was a refit of its own; one is shown
        self._study.set_user_attr(BEST, found)

    def _finish(self, sink: Sink, tracking: Sink, outcome: Outcome, seconds: float) -> None:
        best = best_trial(self._study)
        metrics = {} if best is None or best.value is None else {"best_value": best.value}
        test = known(self._study, BEST).get("test")
        if test:
            metrics[f"test_{self._experiment.metric}"] = sum(test) / len(test)
        with self._ledger.phase("tracking_wait"):
            sink.study_ended(outcome, metrics, self._confusion())
            sink.close(seconds)
        if tracking.problem:
            self._say(f"not all was tracked, a later resume writes it again: {tracking.problem}")
        if best is not None:
            found = known(self._study, BEST)
            found = found if found.get("number") == best.number else {"number": best.number}
            self._study.set_user_attr(BEST, found | {"mlflow_run_id": tracking.run_id(best.number)})
        background = {"tracking": tracking.seconds, "checkpoint": 0.0 if self._files is None else self._files.seconds}
        cost = cost_of(self._ledger, compilations() - self._compiled, self._engine.usage, background)
        self._study.set_user_attr(COST_TOTAL, added(known(self._study, COST_TOTAL), cost))
        self._study.set_user_attr(COST, cost)

    def _confusion(self) -> ConfusionMatrix | None:
        counts = known(self._study, BEST).get("confusion")
        labels = self._arrays.prepared.labels
        if counts is None or labels is None:
            return None
        rows, hits = sum(map(sum, counts)), sum(row[index] for index, row in enumerate(counts))
        title = f"{self._experiment.name}: {hits} of {rows} test rows right"
        return ConfusionMatrix([str(label) for label in labels], counts, title)

    def _finished_trials(self) -> list[TrialRecord]:
        trials = self._study.get_trials(deepcopy=False)
        metric, curves = self._experiment.metric, self._experiment.curves
        return [trial_record(trial, metric, curves) for trial in trials if trial.state.is_finished()]

    def _study_record(self) -> StudyRecord:
        memory, experiment = self._memory, self._experiment
        fields = ("metric", "folds", "epochs", "test_fraction", "split_seed", "sampler", "pruner")
        parameters = {name: describe_field(getattr(experiment, name)) for name in fields}
        return StudyRecord(
            study=self._study.study_name,
            experiment=experiment.name,
            tags={
                "tuner.seed": str(memory.seed),
                "tuner.file": memory.file or "",
                "tuner.storage": without_password(self._options.storage),
                "tuner.direction": self._study.direction.name.lower(),
            },
            key=memory.key,
            parameters=parameters | {"parallel_trials": memory.parallel_trials, "seed": memory.seed},
            description=f"Study {self._study.study_name}: {experiment.name}, {experiment.metric} over the folds.",
        )


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
