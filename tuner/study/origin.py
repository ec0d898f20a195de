"""Where a study came from: the command, the project's commit, libraries and device, and the data that it saw."""

import contextlib
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tuner.data.dataset import Prepared
from tuner.experiment import Experiment, Source
from tuner.lanes.machine import this_machine

_GIT_SECONDS = 2.0
_SHORT = 32  # characters of a digest: MLflow takes 36


def origin_of(source: Source | None, command: str | None, libraries: Mapping[str, str]) -> dict[str, str]:
    """Tags that tell where a study came from; MLflow shows those that begin with its name in its own places.

    Args:
        source: the experiment's file; None where the study was started from Python.
        command: that started it, without credentials; None likewise.
        libraries: their versions.
    """
    machine = this_machine()
    tags = {"tuner.device": f"{machine['devices']} x {machine['device']}, {machine['cores']} cores"}
    tags |= {f"tuner.version.{name}": number for name, number in libraries.items()}
    tags |= {} if command is None else {"tuner.command": command}
    if source is not None:
        tags |= {"mlflow.source.name": str(source.file), "mlflow.source.type": "LOCAL"}
        tags |= _commit_of(source.root)
    return tags


def _commit_of(folder: Path) -> dict[str, str]:
    """The commit that a folder is at, and whether files are not as they were in it; nothing where there is no git."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return {}
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"mlflow.source.git.commit": commit} | ({"tuner.git.changed": "yes"} if changed else {})


def _git(folder: Path, *words: str) -> str | None:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        asked = ("git", "-C", str(folder), *words)  # found by PATH, as a person's shell finds it
        done = subprocess.run(asked, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True)  # noqa: S603
        return done.stdout.strip()
    return None


def dataset_of(experiment: Experiment, prepared: Prepared) -> dict[str, Any]:
    """The data as MLflow shows data: name, digest, where it is from, and what is in it."""
    data = experiment.data
    name = getattr(data, "__name__", None) or getattr(data, "path", None) or type(data).__name__
    profile: dict[str, Any] = {
        "rows": len(prepared.inputs) - prepared.own_test,
        "rows of its own test part": prepared.own_test,
        "shape of an example": list(prepared.spec.input_shape),
        "task": prepared.spec.task,
        "missing numbers": prepared.missing,
    }
    if prepared.labels is not None and prepared.targets.ndim == 1:
        counts = np.bincount(prepared.targets.astype(int), minlength=len(prepared.labels))
        profile["rows of each class"] = {str(k): int(n) for k, n in zip(prepared.labels, counts, strict=True)}
    return {"name": Path(str(name)).name, "source": str(name), "digest": prepared.digest[:_SHORT], "profile": profile}
