"""Writing to MLflow what it missed: the database is the truth, and MLflow may have been away."""

from typing import cast

from tuner.errors import InputError
from tuner.study.opening import load_with_memory
from tuner.study.options import DEFAULT_LEASE
from tuner.study.record import BEST
from tuner.study.result import StudyResult, best_known, best_trial, result_of
from tuner.study.shown import Draw, finished_trials, last_metrics, outcome_of, study_record
from tuner.study.storage import Occupied, Storage
from tuner.tracking import check_tracking_uri, open_sink


class NotTracked(RuntimeError):
    """MLflow could not be written. The message says why."""


def sync(name: str, storage_url: str, tracking_uri: str | None = None, draw: Draw | None = None) -> StudyResult:
    """Have MLflow show a study as its database holds it: its run, and one below it for each finished trial.

    Args:
        name: of the study; nobody may run it meanwhile.
        storage_url: Optuna's.
        tracking_uri: MLflow's; the study's own by default.
        draw: describes its pictures.

    Raises:
        InputError: there is no such study, it runs, or it is tracked nowhere.
        NotTracked: MLflow could not be written; whatever could stays.
    """
    study, memory = load_with_memory(name, storage_url)
    uri = tracking_uri or memory.tracking_uri
    if uri is None:
        raise InputError("the study is tracked nowhere", name, "Give --tracking-uri.")
    check_tracking_uri(uri)
    storage = cast("Storage", study._storage)
    try:
        storage.enter(study._study_id, DEFAULT_LEASE, alone=True)
    except Occupied:
        raise InputError("the study runs, and writes by itself", name, "Wait until it ends.") from None
    try:
        sink = open_sink(uri)
        sink.study_started(study_record(study, memory, storage_url), finished_trials(study, memory))
        pictures = () if draw is None else draw(study, memory)
        sink.study_ended(outcome_of(study), last_metrics(study, memory), pictures)
        sink.close()
        if sink.problem:
            raise NotTracked(sink.problem)
        best = best_trial(study)
        if best is not None:
            study.set_user_attr(BEST, best_known(study, best.number) | {"mlflow_run_id": sink.run_id(best.number)})
        return result_of(study, memory)
    finally:
        storage.leave()
