"""What ``tuner doctor`` finds where all is well, and where something is not."""

import json
import threading

import pytest

from tests.study.conftest import iris_experiment
from tuner import run
from tuner.cli import main
from tuner.report import doctor

AWAY = "postgresql+psycopg://me:secret@127.0.0.1:1/base"


def call(capsys, *words):
    with pytest.raises(SystemExit) as left:
        main(["doctor", *words])
    return left.value.code, capsys.readouterr().out


def test_where_all_is_well(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, said = call(capsys)
    assert code == 0, said
    marks = {line.split()[1]: line[:2] for line in said.splitlines() if not line.startswith(" ")}
    looked_at = ("devices", "compiler", "database", "tracking", "programs", "checkpoints")
    assert marks == dict.fromkeys(looked_at, "ok")
    assert "jax " in said
    assert "made by the first run" in said
    assert list(tmp_path.iterdir()) == []  # looking makes nothing


def test_what_is_there_is_counted(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db"  # whole, since MLflow keeps its stores by their addresses
    run(iris_experiment(epochs=1), trials=1, storage="sqlite:///tuner.db", tracking_uri=uri)
    code, said = call(capsys, "--json", "--tracking-uri", uri)
    found = json.loads(said)
    assert code == 0
    assert found["database"]["found"] == "sqlite:///tuner.db, studies: 1"
    assert found["tracking"]["found"] == f"{uri}, experiments: 2"  # MLflow makes one called Default
    assert found["versions"]["works"] is None


def test_what_does_not_work_is_said_and_no_password(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, said = call(capsys, "--storage", AWAY, "--tracking-uri", "http://127.0.0.1:1")
    assert code == 1
    lines = {line.split()[1]: line for line in said.splitlines() if line[0] != " "}
    assert lines["database"].startswith("no")
    assert "refused" in lines["database"]
    assert lines["tracking"].startswith("no")
    assert lines["compiler"].startswith("ok")
    assert "secret" not in said


def test_what_does_not_answer_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hangs = threading.Event()
    monkeypatch.setattr(doctor, "experiments_in", lambda _uri: hangs.wait(30))
    findings = doctor.examine("sqlite:///tuner.db", "http://127.0.0.1:1", seconds=1.5)
    hangs.set()
    found = {finding.what: finding for finding in findings}
    assert found["tracking"].works is False
    assert found["tracking"].found == "no answer in 1.5 s"
    assert found["database"].works
