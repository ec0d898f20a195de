"""MLflow's client, made quiet, without telemetry and within MLflow's limits."""

import contextlib
import logging
import math
import os
import re
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tuner.tracking.uri import sqlite_path

_METRICS, _PARAMETERS, _TAGS = 800, 100, 100  # a call takes 1,000 metrics, 100 parameters and 100 tags: 1,000 in all
_KEY, _PARAMETER_VALUE, _TAG_VALUE = 250, 6000, 8000
_ABANDONED_SECONDS = 60
_OF_ONE_RUN = {"BAD_REQUEST", "INVALID_PARAMETER_VALUE", "INVALID_STATE", "RESOURCE_DOES_NOT_EXIST"}


def connect(tracking_uri: str) -> Any:
    """MLflow's client for a URI. Importing MLflow takes more than a second, so it is done here."""
    _environment()
    # SQLAlchemy 2.1 says of a line of MLflow 3.17 that it will break one day.
    warnings.filterwarnings("ignore", message="The ``noload`` loader strategy", category=DeprecationWarning)
    from mlflow import MlflowClient

    quiet = {"mlflow": logging.WARNING, "alembic": logging.WARNING, "urllib3.connectionpool": logging.ERROR}
    for name, level in quiet.items():  # urllib3 warns of each try; that a server is away is said once, in the end
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, level))
    file = sqlite_path(tracking_uri)
    if file is not None and not file.exists():
        _make_store(file, MlflowClient)
    return MlflowClient(tracking_uri=tracking_uri)


def experiments_in(tracking_uri: str) -> int:
    """How many experiments there are: what MLflow says where it works."""
    return len(connect(tracking_uri).search_experiments(max_results=1000))


def _make_store(file: Path, client: Any) -> None:
    """Make an SQLite store beside its place and put it there when it is whole.

    A process that is killed while MLflow makes its tables would leave a file that MLflow never opens again.
    """
    for abandoned in file.parent.glob(f".{file.name}.*.new*"):
        if time.time() - abandoned.stat().st_mtime > _ABANDONED_SECONDS:
            abandoned.unlink(missing_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    client(tracking_uri=f"sqlite:///{draft}").search_experiments(max_results=1)
    with contextlib.suppress(FileExistsError):  # another process was faster
        os.link(draft, file)
    draft.unlink()


def log(
    client: Any,
    run_id: str,
    metrics: Sequence[tuple[str, float, int, int]] = (),
    parameters: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Log to a run in as few calls as MLflow allows: one, but for a thousand metrics or a hundred parameters.

    Args:
        client: from ``connect``.
        run_id: the run.
        metrics: key, value, milliseconds and step of each.
        parameters: by name.
        tags: by name.
    """
    from mlflow.entities import Metric, Param, RunTag

    points = [Metric(clean(key), finite(value), moment, step) for key, value, moment, step in metrics]
    params = [Param(clean(key), str(value)[:_PARAMETER_VALUE]) for key, value in (parameters or {}).items()]
    marks = [RunTag(key, value) for key, value in clean_tags(tags or {}).items()]
    calls = max(-(-len(points) // _METRICS), -(-len(params) // _PARAMETERS), -(-len(marks) // _TAGS))
    for call in range(calls):
        client.log_batch(
            run_id,
            metrics=points[call * _METRICS : (call + 1) * _METRICS],
            params=params[call * _PARAMETERS : (call + 1) * _PARAMETERS],
            tags=marks[call * _TAGS : (call + 1) * _TAGS],
            synchronous=True,
        )


def clean(key: str) -> str:
    """A key that MLflow takes: other characters than letters, digits and ``_-./: `` become ``_``."""
    return re.sub(r"[^\w\-./: ]", "_", key)[:_KEY]


def clean_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags that MLflow takes."""
    return {clean(key): str(value)[:_TAG_VALUE] for key, value in tags.items()}


def finite(value: float) -> float:
    """A value that MLflow's stores take: an infinity becomes the largest float, as in MLflow's own; NaN stays."""
    value = float(value)
    return math.copysign(sys.float_info.max, value) if math.isinf(value) else value


def belongs_to_one_run(error: Exception) -> bool:
    """Whether an error is about what was written to one run, so that trying again cannot help."""
    return getattr(error, "error_code", None) in _OF_ONE_RUN


def without_telemetry() -> dict[str, str]:
    """The environment variables that turn MLflow's telemetry off."""
    return {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def _environment() -> None:
    os.environ.update(without_telemetry())
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # stdout is the caller's
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # the writer tries again itself, and says so
