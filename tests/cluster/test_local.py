"""Workers on a Ray that is started for the study on this machine."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from optuna.trial import TrialState

from tests.helpers import command_lines, listening

SECRET = "hunter2hunter2"


def await_(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def workers_of(driver):
    """The processes of the study's workers."""
    names = "ray::Worker"
    with contextlib.suppress(psutil.NoSuchProcess):
        return [child for child in psutil.Process(driver.pid).children(recursive=True) if names in child.name()]
    return []


def test_a_worker_runs_the_study_and_no_password_is_seen(command, ray_folder):
    command.env["TUNER_STORAGE"] = command.storage.replace("postgres:@", f"postgres:{SECRET}@")
    assert SECRET in command.env["TUNER_STORAGE"]
    driver = command.start(trials=4)
    await_(command.trials)
    assert {address for address, _ in listening(driver)} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert not [line for line in command_lines() if SECRET.encode() in line]
    out, _ = driver.communicate(timeout=120)
    assert driver.returncode == 0, command.said
    assert json.loads(out)["trials"] == {"complete": 4, "pruned": 0, "failed": 0, "running": 0, "waiting": 0}
    assert [(trial.number, trial.state) for trial in command.trials()] == [(n, TrialState.COMPLETE) for n in range(4)]
    assert all(command.said.count(f"trial {number}    complete") == 1 for number in range(4))
    assert "note: Ray starts on this machine, and listens to it alone" in command.said
    assert "1 worker on Ray" in command.said
    files = [file for file in ray_folder.rglob("*") if file.is_file()]
    assert len(files) > 5
    assert not [file for file in files if SECRET.encode() in file.read_bytes()]
    assert SECRET not in command.said


KNOCK = """
import sys
from ray._raylet import GcsClient
from ray.exceptions import AuthenticationError

try:
    print(len(GcsClient(address=sys.argv[1]).get_all_job_info()))
except AuthenticationError:
    print("refused")
"""


@pytest.mark.slow
def test_a_ray_that_was_started_takes_orders_from_nobody_else(command, ray_folder):
    del command.env["RAY_AUTH_TOKEN"]
    command.env["HOME"] = str(ray_folder)  # where Ray would keep a token
    driver = command.start("epochs=200000", trials=8)
    await_(lambda: workers_of(driver))
    (head,) = [child for child in psutil.Process(driver.pid).children(recursive=True) if child.name() == "gcs_server"]
    ((_, port),) = listening(head)
    known = head.environ()["RAY_AUTH_TOKEN"]

    def answer(**variables):
        words = [sys.executable, "-c", KNOCK, f"127.0.0.1:{port}"]
        return subprocess.check_output(words, env=command.env | variables, text=True).strip()

    assert answer(RAY_AUTH_MODE="disabled") == "refused"
    assert answer(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0" * len(known)) == "refused"
    assert answer(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=known) == "1"
    assert not (ray_folder / ".ray").exists()
    assert not [file for file in ray_folder.rglob("*") if file.is_file() and known.encode() in file.read_bytes()]
    assert not [line for line in command_lines() if f"RAY_AUTH_TOKEN={known}".encode() in line]
    driver.send_signal(signal.SIGINT)
    driver.communicate(timeout=60)


@pytest.mark.slow
def test_what_a_worker_says_of_the_input_is_the_commands_error(command):
    driver = command.start("data.limit=2", trials=4)
    driver.communicate(timeout=120)
    assert driver.returncode == 1
    assert "InputError" in command.said
    assert "(worker 1 on 127.0.0.1)" in command.said


@pytest.mark.slow
def test_ctrl_c_puts_trials_back(command):
    driver = command.start("epochs=200000", trials=8, parallel_trials=2)
    await_(lambda: any(trial.intermediate_values for trial in command.trials()))
    driver.send_signal(signal.SIGINT)
    driver.communicate(timeout=60)
    assert driver.returncode == 130, command.said
    states = {trial.state for trial in command.trials()}
    assert states == {TrialState.WAITING}


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced(command):
    driver = command.start("epochs=2000", trials=6, parallel_trials=2)
    await_(lambda: sum(trial.state.is_finished() for trial in command.trials()) >= 2)
    (worker,) = workers_of(driver)
    os.kill(worker.pid, signal.SIGKILL)
    driver.communicate(timeout=300)
    assert driver.returncode == 0, command.said
    assert "died (its worker process has died); another takes its place" in command.said
    assert [(trial.number, trial.state) for trial in command.trials()] == [(n, TrialState.COMPLETE) for n in range(6)]
