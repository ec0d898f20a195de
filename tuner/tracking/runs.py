"""The runs of a study's trials: one below the study's run for each trial, and no third level."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tuner.tracking.client import clean_tags, log
from tuner.tracking.drafts import Draft
from tuner.tracking.records import TrialRecord

PARENT = "mlflow.parentRunId"
STUDY, TRIAL, STATE, REASON = "tuner.study", "tuner.trial", "tuner.state", "tuner.reason"
KEY = "tuner.key"
STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
_PAGE = 1000


@dataclass
class _Written:
    """What the run of a trial that has not ended shows already."""

    tags: dict[str, str]
    parameters: bool = False
    points: set[tuple[str, int]] = field(default_factory=set)


class TrialRuns:
    """Writes drafts of trials to their runs. Writing a draft again after an error goes on where it stopped.

    Args:
        client: MLflow's.
        experiment_id: MLflow's experiment.
        parent: the study's run.
        study: its name.

    Attributes:
        experiment_id: MLflow's experiment.
        parent: the study's run.
        ids: each trial's run.
    """

    def __init__(self, client: Any, experiment_id: str, parent: str, study: str) -> None:
        self._client, self.experiment_id, self.parent, self._study = client, experiment_id, parent, study
        self._open: dict[int, _Written] = {}
        self._uncertain: set[int] = set()
        self.ids: dict[int, str] = {}

    def write(self, number: int, draft: Draft) -> None:
        """Write what a draft holds: create the run, log to it, end it; three calls at most."""
        if draft.restart:
            if draft.record is not None and draft.record.again:
                self._uncertain.add(number)  # another worker may have shown it
            self._delete(number)
            draft.restart = False
        if draft.gone or not self._created(number, draft.record):
            return
        self._log(number, draft)
        if draft.record is not None and draft.record.state != "running":
            self._client.set_terminated(self.ids[number], STATUS[draft.record.state], draft.record.ended)
            self._open.pop(number, None)

    def _created(self, number: int, record: TrialRecord | None) -> bool:
        if number in self.ids:
            return True
        if record is None:  # its start could not be written: its history comes with its end
            return False
        self._delete_uncertain(number)
        tags = self._tags(record)
        self._uncertain.add(number)
        run = self._client.create_run(
            self.experiment_id, start_time=record.started, tags=tags, run_name=f"trial {number}"
        )
        self._uncertain.discard(number)
        self.ids[number] = run.info.run_id
        self._open[number] = _Written(tags)
        return True

    def _log(self, number: int, draft: Draft) -> None:
        written = self._open.setdefault(number, _Written({}))
        points = {at: point for at, point in draft.points.items() if at not in written.points}
        parameters: Mapping[str, Any] = {}
        tags: dict[str, str] = {}
        if draft.record is not None:
            parameters = {} if written.parameters else draft.record.parameters
            told = self._tags(draft.record)
            tags = {key: value for key, value in told.items() if written.tags.get(key) != value}
        metrics = [(key, value, moment, epoch) for (key, epoch), (value, moment) in points.items()]
        log(self._client, self.ids[number], metrics, parameters, tags)
        written.points.update(points)
        written.tags.update(tags)
        written.parameters = written.parameters or draft.record is not None

    def _tags(self, record: TrialRecord) -> dict[str, str]:
        own = {PARENT: self.parent, STUDY: self._study, TRIAL: str(record.number), STATE: record.state}
        if record.reason:
            own[REASON] = record.reason
        return clean_tags({**record.tags, **own})

    def _delete(self, number: int) -> None:
        self._delete_uncertain(number)
        self._open.pop(number, None)
        if number in self.ids:
            delete(self._client, self.ids[number])
            del self.ids[number]

    def _delete_uncertain(self, number: int) -> None:
        """Delete the runs of a trial that were made without its being known here which they are."""
        if number not in self._uncertain:
            return
        for run in children(self._client, self.experiment_id, self.parent, number):
            delete(self._client, run.info.run_id)
        self._uncertain.discard(number)


def children(client: Any, experiment_id: str, parent: str, trial: int | None = None) -> list[Any]:
    """The runs below a run that are not deleted, newest first; of one trial only, if it is named."""
    wanted = f"tags.`{PARENT}` = '{parent}'" + ("" if trial is None else f" and tags.`{TRIAL}` = '{trial}'")
    found: list[Any] = []
    token = None
    while True:
        page = client.search_runs([experiment_id], wanted, max_results=_PAGE, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def delete(client: Any, run_id: str) -> None:
    """Delete a run; one that somebody has deleted already is no error."""
    try:
        client.delete_run(run_id)
    except Exception as error:
        if getattr(error, "error_code", None) not in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            raise
