"""A study from Python."""

from tuner.experiment import Experiment
from tuner.report.pictures import pictures_of
from tuner.study import Options, StudyResult, run_study
from tuner.study.options import (
    DEFAULT_CHECKPOINT,
    DEFAULT_LEASE,
    DEFAULT_STORAGE,
    DEFAULT_TRACKING,
    DEFAULT_TRIALS,
)


def run(
    experiment: Experiment,
    *,
    trials: int = DEFAULT_TRIALS,
    timeout: float | None = None,
    study: str | None = None,
    storage: str = DEFAULT_STORAGE,
    tracking_uri: str | None = DEFAULT_TRACKING,
    parallel_trials: int | None = None,
    seed: int = 0,
    deterministic: bool = False,
    allow_changed: bool = False,
    checkpoint_every: float = DEFAULT_CHECKPOINT,
    checkpoint_dir: str | None = None,
    lease: float = DEFAULT_LEASE,
) -> StudyResult:
    """Run a study to a total number of trials, all folds of many trials side by side as lanes.

    Args:
        experiment: what is tuned.
        trials: that the study shall hold in the end: complete, pruned and failed ones.
        timeout: seconds after which no further trial is asked for; those that run are finished.
        study: its name; the experiment's by default. A study that exists is completed.
        storage: any Optuna URL.
        tracking_uri: any MLflow URI; None tracks nothing.
        parallel_trials: side by side.
        seed: of the sampler and of every training; it never moves data.
        deterministic: programs and the order of events follow from experiment and seed, never from measurements.
        allow_changed: go on although the experiment is not what it was.
        checkpoint_every: seconds from one checkpoint of half-trained trials to the next; 0 keeps none.
        checkpoint_dir: where checkpoints are; beside the database by default.
        lease: seconds that this process may be silent until others that run the study take its trials over.

    Raises:
        InputError: something that was given is wrong; nothing was written.
        StudyFailed: the first trials all failed.
        KeyboardInterrupt: Ctrl-C or SIGTERM; what was finished is kept.
    """
    options = Options(
        trials=trials,
        timeout=timeout,
        storage=storage,
        tracking_uri=tracking_uri,
        parallel_trials=parallel_trials,
        seed=seed,
        deterministic=deterministic,
        allow_changed=allow_changed,
        checkpoint_every=checkpoint_every,
        checkpoint_dir=checkpoint_dir,
        lease=lease,
    )
    return run_study(experiment, None, [], study, options, draw=pictures_of)
