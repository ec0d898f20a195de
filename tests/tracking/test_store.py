"""The SQLite store is made whole or not at all."""

import os
import signal
import subprocess
import sys
import time

from tuner.tracking.client import connect

CHILD = "import sys; from tuner.tracking.client import connect; connect(sys.argv[1])"


def test_a_kill_while_the_store_is_made_leaves_none_that_cannot_be_opened(tmp_path):
    file = tmp_path / "mlflow.db"
    child = subprocess.Popen([sys.executable, "-c", CHILD, f"sqlite:///{file}"])
    while not list(tmp_path.glob(".mlflow.db.*.new")):
        time.sleep(0.01)
    time.sleep(0.3)  # in the middle of the tables
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not file.exists()
    for draft in tmp_path.iterdir():
        os.utime(draft, (0, 0))
    client = connect(f"sqlite:///{file}")
    assert client.create_experiment("works")
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]
