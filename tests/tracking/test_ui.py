"""``tuner ui`` in a process of its own: who can reach it, and where the browser is sent."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.tracking.helpers import until

ROOT = Path(__file__).parents[2]
LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def start(folder, *words, **environment):
    command = [sys.executable, "-m", "tuner.cli", *words]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def listening(process):
    for each in [process, *process.children(recursive=True)]:
        yield from (found.laddr.ip for found in each.net_connections("inet") if found.status == psutil.CONN_LISTEN)


@pytest.mark.parametrize(("words", "open_to_all"), [((), False), (("--host", "0.0.0.0"), True)])
def test_the_ui_listens_to_this_machine_alone_unless_told_otherwise_and_says_so(tmp_path, words, open_to_all):
    browser = f'{sys.executable} -c \'import sys; open("seen", "w").write(sys.argv[1])\' %s'
    process = start(tmp_path, "ui", "--port", "0", "--open", *words, BROWSER=browser)
    said, seen = [], tmp_path / "seen"
    for line in process.stderr:
        said.append(line)
        if "http://" in line:
            break
    found = set(listening(psutil.Process(process.pid)))
    until(lambda: seen.exists() and seen.read_text())
    assert f"MLflow: {seen.read_text()} (" in said[-1]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert found
    assert (found <= LOOPBACK) is not open_to_all
    assert any("whoever reaches it" in line for line in said) is open_to_all
