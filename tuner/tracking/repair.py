"""The start of a study in MLflow: its experiment, its run, and each finished trial shown exactly once."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tuner.tracking.client import clean, clean_tags, log
from tuner.tracking.drafts import Drafts
from tuner.tracking.records import DatasetRecord, StudyRecord, TrialRecord
from tuner.tracking.runs import KEY, STATE, STATUS, STUDY, TRIAL, TrialRuns, children, delete

_NOTE = "mlflow.note.content"
_ACTIVE_ONLY, _DELETED_ONLY = 1, 2  # mlflow.entities.ViewType, whose import would bring all of MLflow


def open_experiment(client: Any, name: str) -> str:
    """The id of the MLflow experiment of that name: made if there is none, restored if it was deleted."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name, tags={"mlflow.experimentKind": "custom_model_development"}))
        except Exception:  # another process may have made it in between
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)


def open_parent(client: Any, experiment_id: str, study: StudyRecord) -> Any:
    """The study's run: the one it had or, where that is gone with what was below it, a new one."""
    known = study.run_id or _find(client, experiment_id, study.key)
    found = _existing(client, experiment_id, known)
    if found is not None:
        return found
    if known is not None:
        _, orphans = sort_out(children(client, experiment_id, known), {})
        for run_id in orphans:
            delete(client, run_id)
    return client.create_run(experiment_id, start_time=study.started, tags=_tags(study), run_name=study.study)


def describe_parent(client: Any, run: Any, study: StudyRecord) -> None:
    """Have the study's run show the study as it is, and that it is RUNNING.

    A parameter that it shows already stays as it is: MLflow lets none change.
    """
    if run.info.status != "RUNNING":
        client.update_run(run.info.run_id, status="RUNNING")
    parameters = {key: value for key, value in study.parameters.items() if clean(key) not in run.data.params}
    tags = {key: value for key, value in _tags(study).items() if run.data.tags.get(key) != value}
    log(client, run.info.run_id, parameters=parameters, tags=tags)
    if study.dataset is not None:
        _log_dataset(client, run, study.dataset)


def _log_dataset(client: Any, run: Any, dataset: DatasetRecord) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    if any(shown.dataset.digest == dataset.digest for shown in run.inputs.dataset_inputs):
        return
    source, profile = json.dumps({"uri": dataset.source}), json.dumps(dataset.profile)
    logged = Dataset(dataset.name[:500], dataset.digest, "local", source, profile=profile)
    client.log_inputs(run.info.run_id, [DatasetInput(logged, [InputTag("mlflow.data.context", "training")])])


def show_known(
    client: Any,
    experiment_id: str,
    parent: str,
    runs: TrialRuns,
    known: Sequence[TrialRecord],
    finished: Sequence[TrialRecord],
) -> Drafts:
    """Leave at most one run for each finished trial below the parent, and none of another.

    Args:
        client: MLflow's.
        experiment_id: MLflow's experiment.
        parent: the study's run.
        runs: learns which runs there are.
        known: finished trials that shall be shown.
        finished: all that have finished.

    Returns:
        The drafts of those of the known ones that have no run.
    """
    kept, stale = sort_out(children(client, experiment_id, parent), {trial.number: trial for trial in finished})
    for run_id in stale:
        delete(client, run_id)
    runs.ids.update(kept)
    missing = Drafts()
    for trial in known:
        if trial.number not in kept:
            runs.ids.pop(trial.number, None)
            missing.ended(trial)
    return missing


def sort_out(runs: Sequence[Any], finished: Mapping[int, TrialRecord]) -> tuple[dict[int, str], list[str]]:
    """Which runs of trials to keep, by trial, and which to delete. Runs that are no trial's are left alone."""
    kept: dict[int, str] = {}
    stale: list[str] = []
    for run in runs:
        tag = run.data.tags.get(TRIAL, "")
        if not tag.isdecimal():
            continue
        trial = finished.get(int(tag))
        if trial is not None and trial.number not in kept and _shows(run, trial):
            kept[trial.number] = run.info.run_id
        else:
            stale.append(run.info.run_id)
    return kept, stale


def _shows(run: Any, trial: TrialRecord) -> bool:
    """Whether a run shows the trial as it ended. A run is ended last, so an ended one is complete."""
    shown: tuple[str, str | None] = (run.info.status, run.data.tags.get(STATE))
    return shown == (STATUS[trial.state], trial.state)


def _tags(study: StudyRecord) -> dict[str, str]:
    key = {KEY: study.key} if study.key else {}
    return clean_tags({**study.tags, **key, STUDY: study.study, STATE: "running", _NOTE: study.description})


def _find(client: Any, experiment_id: str, key: str) -> str | None:
    """The id of the run that a process before this one made for the study, preferably one that is not deleted."""
    if not key:
        return None
    for view in (_ACTIVE_ONLY, _DELETED_ONLY):
        runs = client.search_runs([experiment_id], f"tags.`{KEY}` = '{key}'", run_view_type=view, max_results=1)
        if runs:
            return str(runs[0].info.run_id)
    return None


def _existing(client: Any, experiment_id: str, run_id: str | None) -> Any | None:
    if run_id is None:
        return None
    try:
        run = client.get_run(run_id)
    except Exception as error:
        if getattr(error, "error_code", None) in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise
    usable = run.info.lifecycle_stage == "active" and run.info.experiment_id == experiment_id
    return run if usable else None
