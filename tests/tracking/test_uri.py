import contextlib
import os
import sqlite3

import pytest

from tuner.errors import InputError
from tuner.tracking import absolute, check_tracking_uri, without_credentials
from tuner.tracking.uri import password


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:///mlflow.db",
        "sqlite:///mlflow.db?timeout=5",
        "sqlite+pysqlite:///mlflow.db",
        "postgresql://me:secret@host/db",
        "postgresql+psycopg://host/db",
        "mysql+pymysql://host/db",
        "mssql+pyodbc://host/db",
        "http://127.0.0.1:5000",
        "https://user:secret@mlflow.example.org/path",
        "databricks",
        "databricks://profile",
    ],
)
def test_accepted(uri, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_tracking_uri(uri)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uri", ["file:///tmp/runs", "file:runs", "mlruns", "/tmp/mlruns", "./mlruns", ""])
def test_a_file_store_is_refused_with_what_to_use(uri):
    with pytest.raises(InputError) as error:
        check_tracking_uri(uri)
    assert "sqlite:///mlflow.db" in error.value.fix


@pytest.mark.parametrize("uri", ["redis://host", "s3://bucket/x", "http://", "https:///path", "sqlite://"])
def test_other_addresses_that_cannot_be(uri):
    with pytest.raises(InputError):
        check_tracking_uri(uri)


def test_no_password_in_a_message():
    with pytest.raises(InputError) as error:
        check_tracking_uri("redis://me:secret@host")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "uri",
    [
        " postgresql://me:s3cret@host/db",
        "\tpostgresql://me:s3cret@host/db\n",
        "postgresql:/me:s3cret@host/db",
        "postgresql:me:s3cret@host/db",
        "me:s3cret@host/db",
        "sqlite://me:s3cret@host/db",
        "redis://me:s3c?r#et/s3cret@host",
        "postgresql://host/db?password=a#s3cret",
        "postgresql://host/db?PASSWORD=s3cret&x=1",
    ],
)
def test_of_a_misspelt_address_no_password_is_shown(uri):
    assert "s3cret" not in without_credentials(uri)
    with contextlib.suppress(InputError):
        check_tracking_uri(uri)
        return
    with pytest.raises(InputError) as error:
        check_tracking_uri(uri)
    assert "s3cret" not in str(error.value)


def test_an_sqlite_file_in_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        check_tracking_uri(f"sqlite:///{tmp_path}/none/mlflow.db")


def test_a_folder_and_a_file_that_is_no_database(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        check_tracking_uri(f"sqlite:///{tmp_path}")
    (tmp_path / "notes.txt").write_text("not a database at all")
    with pytest.raises(InputError, match="no SQLite database"):
        check_tracking_uri(f"sqlite:///{tmp_path}/notes.txt")


@pytest.mark.parametrize("locked", ["folder", "file"])
def test_what_cannot_be_written(tmp_path, monkeypatch, locked):
    file = tmp_path / "mlflow.db"
    sqlite3.connect(file).close()
    refused = tmp_path if locked == "folder" else file
    monkeypatch.setattr(os, "access", lambda path, _mode: os.fspath(path) != os.fspath(refused))
    with pytest.raises(InputError, match="cannot be written"):
        check_tracking_uri(f"sqlite:///{file}")


@pytest.mark.parametrize(
    ("uri", "shown", "secret"),
    [
        ("postgresql://me:s3cret@host:5432/db?sslmode=require", "postgresql://host:5432/db?sslmode=require", "s3cret"),
        ("postgresql://me:p@s/s@host/db", "postgresql://host/db", "p@s/s"),
        ("https://token@host/x", "https://host/x", ""),
        ("postgresql://host/db?user=me&password=x&sslmode=require", "postgresql://host/db?sslmode=require", ""),
        ("postgresql://host/db?password=x", "postgresql://host/db", ""),
        ("sqlite:///a@b:c@d.db", "sqlite:///a@b:c@d.db", ""),
        ("http://host/a@b", "http://host/a@b", ""),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db", ""),
    ],
)
def test_credentials(uri, shown, secret):
    assert without_credentials(uri) == shown
    assert password(uri) == secret


def test_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute("sqlite:///mlflow.db") == f"sqlite:///{tmp_path}/mlflow.db"
    assert absolute("sqlite+pysqlite:///a.db?timeout=5") == f"sqlite+pysqlite:///{tmp_path}/a.db?timeout=5"
    assert absolute("http://host") == "http://host"
