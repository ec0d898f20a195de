"""One database of each kind for all tests of the storage, empty before each."""

import optuna
import pytest
from optuna.storages import RDBStorage

from tuner.study.storage import (
    open_storage,
)


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('sqlite')}/tuner.db"


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def url(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def opened(url):
    storage = open_storage(url)
    yield storage
    storage.close()


@pytest.fixture
def storage(opened):
    empty(opened)
    yield opened
    empty(opened)


def empty(storage):
    for study in storage.get_all_studies():
        storage.delete_study(study._study_id)


def new_study(storage):
    return optuna.create_study(study_name="s", storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))


def in_database(url):
    """What anybody else reads."""
    backend = RDBStorage(url)
    try:
        return backend.get_all_trials(backend.get_study_id_from_name("s"))
    finally:
        backend.remove_session()
        backend.engine.dispose()


def contents(trial):
    """All of a trial, for comparison: nan is nan here, and attributes have no order."""
    return repr(sorted((name, sorted(v.items()) if isinstance(v, dict) else v) for name, v in vars(trial).items()))


def draw(trial):
    trial.suggest_float("rate", 1e-4, 1e-1, log=True)
    trial.suggest_int("units", 4, 64, step=4)
    trial.suggest_categorical("batch", [16, None, "all", True])
    trial.suggest_float("share", 0, 1, step=0.25)
