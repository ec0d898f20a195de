import shutil

import pytest

from tuner.tracking.client import connect

from .helpers import Store


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """An MLflow database with its tables: making one takes seconds, copying it does not."""
    file = tmp_path_factory.mktemp("mlflow") / "empty.db"
    connect(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def uri(empty_store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def store(uri):
    return Store(uri)
