"""MLflow's server as a child, and a study written through it."""

import math
import os
import signal
import socket
import subprocess
import sys

import psutil
import pytest

from tuner.tracking import serve_ui, server

from .helpers import Store, play, running, study, until


def test_of_a_server_only_the_address_is_said(capsys):
    assert serve_ui("https://me:secret@mlflow.example.org", 5000) == 0
    assert capsys.readouterr().err == "MLflow is a server already: https://mlflow.example.org\n"


def test_a_port_that_is_taken_is_replaced():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert server.free_port(port) not in {0, port}
    assert server.free_port(port) == port


def test_the_command_shows_no_password_and_telemetry_is_off():
    environment = server.environment("postgresql://me:secret@host/db")
    assert "secret" not in " ".join(server.command(5000))
    assert environment["MLFLOW_BACKEND_STORE_URI"] == "postgresql://me:secret@host/db"
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_a_server_that_cannot_start_gives_its_exit_code(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(server, "command", lambda _port, _host: [sys.executable, "-c", "raise SystemExit(3)"])
    assert serve_ui("sqlite:///mlflow.db", 0) == 3


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)],
)
def test_who_is_listened_to_is_said_before_anything_else(host, own, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(server, "command", lambda port, host: [sys.executable, "-c", f"print({host!r})"])
    assert serve_ui("sqlite:///mlflow.db", 0, host) == 0
    said = capfd.readouterr().err
    assert host in said.splitlines()
    assert (f"It listens on {host}: whoever reaches it can read and change" in said) is not own


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_study_through_a_real_server(uri, tmp_path, ending, capfd):
    root = os.fspath(__file__).rsplit("/tests/", 1)[0]
    port = server.free_port(0)
    code = f"import sys; from tuner.tracking import serve_ui; sys.exit(serve_ui({uri!r}, {port}))"
    log = tmp_path / "stderr.txt"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", code], stderr=stderr, env=os.environ | {"PYTHONPATH": root}, cwd=tmp_path
        )
    try:
        address = f"http://127.0.0.1:{port}"
        until(lambda: address in log.read_text(), seconds=60)
        children = psutil.Process(process.pid).children(recursive=True)
        store = Store(address)
        sink = store.sink()
        sink.study_started(study())
        for number in range(5):
            play(sink, number)
        sink.trial_started(running(5))
        sink.epoch(5, 1, {"nan": math.nan, "plus": math.inf})
        sink.study_ended("finished", {"best_value": 0.75})
        sink.close()
        assert sink.problem is None
        assert store.numbers() == [0, 1, 2, 3, 4, 5]
        assert store.parents()[0].info.status == "FINISHED"
        assert store.history(store.trials()[0], "accuracy/fold_0") == [(1, 0.4), (2, 0.7)]
        assert math.isnan(store.trials()[5].data.metrics["nan"])
        assert store.trials()[5].data.metrics["plus"] == sys.float_info.max
    finally:
        process.send_signal(ending)
        code = process.wait(30)
    assert code == 0
    until(lambda: not any(child.is_running() for child in children))
    assert "Traceback" not in log.read_text()
    assert capfd.readouterr().out == ""
