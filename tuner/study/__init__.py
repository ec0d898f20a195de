"""Studies: the loop, the database, resume, and the plain Optuna objective."""

from optuna.exceptions import StorageInternalError as DatabaseGone

from tuner.study.objective import Objective
from tuner.study.opening import all_results, load_study, load_with_memory, memory_of_study
from tuner.study.options import DEFAULT_STORAGE, DEFAULT_TRACKING, DEFAULT_TRIALS, Options
from tuner.study.result import BestTrial, StudyResult, result_of
from tuner.study.run import resume_study, run_study
from tuner.study.session import Interrupted, StudyFailed
from tuner.study.storage import without_password
from tuner.study.sync import NotTracked
from tuner.study.sync import sync as sync_study
from tuner.study.trial_weights import TrialWeights

__all__ = [
    "DEFAULT_STORAGE",
    "DEFAULT_TRACKING",
    "DEFAULT_TRIALS",
    "BestTrial",
    "DatabaseGone",
    "Interrupted",
    "NotTracked",
    "Objective",
    "Options",
    "StudyFailed",
    "StudyResult",
    "TrialWeights",
    "all_results",
    "load_study",
    "load_with_memory",
    "memory_of_study",
    "result_of",
    "resume_study",
    "run_study",
    "sync_study",
    "without_password",
]
