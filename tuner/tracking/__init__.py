"""Tracking: a sink for what happened in a study. All that touches MLflow is in this package."""

from tuner.tracking.client import experiments_in
from tuner.tracking.mlflow_sink import MlflowSink
from tuner.tracking.records import (
    Company,
    DatasetRecord,
    Picture,
    StudyOutcome,
    StudyRecord,
    TrialRecord,
    TrialState,
)
from tuner.tracking.server import serve_ui
from tuner.tracking.sink import CompositeSink, MemorySink, NullSink, Sink
from tuner.tracking.uri import (
    absolute,
    check_at_signs,
    check_tracking_uri,
    sqlite_path,
    without_credentials,
    without_secrets,
)

__all__ = [
    "Company",
    "CompositeSink",
    "DatasetRecord",
    "MemorySink",
    "MlflowSink",
    "NullSink",
    "Picture",
    "Sink",
    "StudyOutcome",
    "StudyRecord",
    "TrialRecord",
    "TrialState",
    "absolute",
    "check_at_signs",
    "check_tracking_uri",
    "experiments_in",
    "open_sink",
    "serve_ui",
    "sqlite_path",
    "without_credentials",
    "without_secrets",
]


def open_sink(tracking_uri: str | None, company: Company | None = None) -> Sink:
    """The sink for a tracking URI; one that tracks nothing where there is none."""
    return NullSink() if tracking_uri is None else MlflowSink(tracking_uri, company=company)
