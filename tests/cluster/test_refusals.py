"""What ``tuner run --ray`` refuses, before Ray starts."""

import importlib.util
import json
import sys

import pytest
from ray.exceptions import ActorUnavailableError, RayError

from tests.cluster.conftest import EXPERIMENT
from tuner import InputError, cli
from tuner.cluster.connection import Machine, connected
from tuner.cluster.crew import _reason
from tuner.cluster.study import _check_tracking
from tuner.study import Options

SERVER = "postgresql+psycopg://user:hunter2@127.0.0.1:1/nothing"


def refused(capsys, tmp_path, monkeypatch, *words):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "iris.py").write_text(EXPERIMENT)
    with pytest.raises(SystemExit) as left:
        cli.main(["run", "iris.py", *words, "--json"])
    answer = capsys.readouterr().out
    assert left.value.code == 2
    assert "hunter2" not in answer
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".db"] == []
    return json.loads(answer)["error"]


@pytest.mark.parametrize("url", ["sqlite:///tuner.db", "sqlite://", "sqlite:///:memory:"])
def test_sqlite_is_for_one_machine(capsys, tmp_path, monkeypatch, url):
    error = refused(capsys, tmp_path, monkeypatch, "--ray", "--workers", "2", "--storage", url)
    assert "SQLite is for one machine alone" in error["what"]
    assert "postgresql" in error["fix"]


def test_the_default_storage_is_sqlite(capsys, tmp_path, monkeypatch):
    assert refused(capsys, tmp_path, monkeypatch, "--ray")["value"] == "sqlite:///tuner.db"


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--workers", "2"), "--workers goes with --ray"),
        (("--ray", "--workers", "0", "--storage", SERVER), "--workers must be"),
        (("--ray", "--storage", "mysql+pymysql://user:hunter2@host/x"), "share a study in PostgreSQL"),
        (("--ray", "--deterministic", "--storage", SERVER), "--deterministic needs a worker that is alone"),
        (("--ray", "--storage", SERVER), "the database cannot be used"),
    ],
)
def test_what_cannot_be(capsys, tmp_path, monkeypatch, words, what):
    assert what in refused(capsys, tmp_path, monkeypatch, *words)["what"]


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("127.0.0.1:1", "no Ray cluster answers"),
        ("somewhere", "--ray takes HOST:PORT, auto or nothing"),
        ("ray://127.0.0.1:10001", "through a Ray client"),
    ],
)
def test_an_address_without_a_cluster(address, what):
    with pytest.raises(InputError, match=what), connected(address):
        pass


def test_without_ray_its_extra_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'tuner\[ray\]'"), connected("local"):
        pass


def test_mlflows_sqlite_file_is_for_one_machine():
    here, there = Machine("10.0.0.1", {}), Machine("10.0.0.2", {})
    _check_tracking(Options(), [here, here])
    _check_tracking(Options(tracking_uri="http://host:5000"), [here, there])
    with pytest.raises(InputError, match="2 machines"):
        _check_tracking(Options(), [here, there])


def test_why_a_worker_died_in_a_few_words():
    said = "The actor died.\n\tip: 1.2.3.4\nThe actor is dead because its worker process has died. Worker exit type: X"
    assert _reason(RayError(said)) == "its worker process has died"
    assert _reason(RayError("Something else\nhappened")) == "Something else"
    assert _reason(RayError("")) == "no reason is known"
    assert _reason(ActorUnavailableError("The actor\n is unavailable", b"0" * 16)) == "it cannot be reached"
