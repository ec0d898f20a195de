"""A Ray cluster of two nodes, one of which is killed while the study runs."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from optuna.trial import TrialState

from tests.cluster.test_local import await_

NODES = """
import sys
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
second = cluster.add_node(num_cpus=1)
raylet = [info for kind, infos in second.all_processes.items() if "raylet" in kind for info in infos][0]
print(cluster.address, raylet.process.pid, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@pytest.fixture
def nodes(command):
    """The cluster's address, and the process of its second node."""
    env = command.env | {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    command.env = env
    cluster = subprocess.Popen(
        [sys.executable, "-c", NODES], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    address, raylet = cluster.stdout.readline().split()
    yield address, psutil.Process(int(raylet))
    cluster.communicate(timeout=60)


def kill(process):
    """A node goes as it does when its machine loses power."""
    for each in [process, *process.children(recursive=True)]:
        os.kill(each.pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_node_that_dies_costs_no_trial(command, nodes):
    address, second = nodes
    driver = command.start("epochs=2000", trials=16, parallel_trials=2, workers=2, address=address)
    await_(lambda: sum("ray::Worker" in child.name() for child in second.children(recursive=True)) == 1)
    await_(lambda: sum(bool(trial.intermediate_values) for trial in command.trials()) >= 4)
    time.sleep(1)
    kill(second)
    out, _ = driver.communicate(timeout=500)
    assert driver.returncode == 0, command.said
    assert json.loads(out)["trials"] == {"complete": 16, "pruned": 0, "failed": 0, "running": 0, "waiting": 0}
    trials = command.trials()
    assert [(trial.number, trial.state) for trial in trials] == [(n, TrialState.COMPLETE) for n in range(16)]
    assert [len(trial.intermediate_values) for trial in trials] == [2000] * 16
    shown = [line for line in command.said.splitlines() if " complete " in line]
    assert len(shown) == 16
    assert "another takes its place" in command.said
