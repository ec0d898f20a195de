"""Small experiments that train in milliseconds, a database for each test, and a PostgreSQL started from a package."""

import secrets
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import make_url

from benchmarks.servers import Postgres
from tuner import Experiment, Width, datasets, models
from tuner.lanes.population import Population

SECRET = f"hunter{secrets.token_hex(4)}"  # what no form of writing a password changes; other test runs have another
PASSWORD = f"{SECRET} p@ss:w/o%rd'?#&=\\é"  # all that addresses, .pgpass and SQL write in their own way
GUARDED = ("studies", "shown")


def iris_space(trial):
    return {
        "hidden": [Width(trial.suggest_int("hidden_0", 4, 16), cap=16)],
        "learning_rate": trial.suggest_float("learning_rate", 1e-3, 1e-1, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [16, 32]),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
    }


def iris_experiment(**fields):
    defaults = {
        "name": "iris",
        "data": datasets.iris,
        "model": models.MLP,
        "search_space": iris_space,
        "folds": 3,
        "epochs": 4,
        "sampler": "random",
        "pruner": "none",
    }
    return Experiment(**{**defaults, **fields})


def facts(study):
    """All that a trial is, but for when and where it ran."""
    return [
        (t.number, t.state, t.params, t.values, t.intermediate_values, t.user_attrs.get("tuner:history"))
        for t in study.get_trials()
    ]


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path}/tuner.db"


@pytest.fixture
def trained(monkeypatch):
    """Trial and epoch of all that this process trains."""
    found, advance = [], Population.advance

    def counting(self, chunk, trials):
        found.extend((trial, self.seats[trial].epoch + 1) for trial in trials)
        return advance(self, chunk, trials)

    monkeypatch.setattr(Population, "advance", counting)
    return found


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory):
    server = Postgres(tmp_path_factory.mktemp("postgres"))
    yield server.url
    server.close()


@pytest.fixture(scope="session")
def guarded(postgresql):
    """Two databases that ask for a password, for studies and for MLflow: their addresses without it."""
    engine = sqlalchemy.create_engine(postgresql, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "CREATE ROLE guest LOGIN PASSWORD '" + PASSWORD.replace("'", "''").replace("%", "%%") + "'"
        )
        for name in GUARDED:
            connection.exec_driver_sql(f"CREATE DATABASE {name} OWNER guest")
        rules = Path(connection.exec_driver_sql("SHOW hba_file").scalar())
        rules.write_text("local all guest scram-sha-256\n" + rules.read_text())
        connection.exec_driver_sql("SELECT pg_reload_conf()")
    engine.dispose()
    url = make_url(postgresql).set(username="guest", password=None)
    return [url.set(database=name) for name in GUARDED]
