"""Lanes spread over several devices: a process of its own, since their number is fixed when JAX starts."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

SCRIPT = """
import json, sys
import jax
jax.config.update("jax_enable_x64", True)
from tests.helpers import OrdersInPrograms, make_arrays
from tests.lanes.test_same_numbers import Normed, point
from tuner.lanes.engine import Engine
from tuner.models import MLP

devices = int(sys.argv[1])
assert jax.local_device_count() == 4
found = {}
for model in (MLP, Normed):
    for chunk in (None, 8):
        arrays = make_arrays() if chunk is None else make_arrays(kind=OrdersInPrograms)
        engine = Engine(model, arrays, slots=5, chunk=chunk, seed=0, devices=devices)
        for trial in range(5):
            engine.add(trial, point(size=3 + trial))
        assert engine.seat() == {}
        engine.advance()
        engine.remove(3)
        engine.add(9, point(size=4))
        assert engine.seat() == {}
        results = [engine.advance() for _ in range(3)][-1]
        population = engine.population_of(9)
        leaf = jax.tree.leaves(population._chunks[0].values.parameters)[0]
        spread = len(leaf.sharding.device_set)
        name = f"{model.__name__} {chunk}"
        found[name] = {str(t): [*r.train_loss.tolist(), *r.metrics["loss"].tolist()] for t, r in results.items()}
        found[name]["spread"] = spread
        found[name]["lanes"] = population.program.layout.lanes
print(json.dumps(found))
"""


def run(devices):
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    command = [sys.executable, "-c", SCRIPT, str(devices)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def runs():
    return run(1), run(4)


def test_lanes_lie_on_all_devices(runs):
    one, four = runs
    assert {result["spread"] for result in one.values()} == {1}
    assert {result["spread"] for result in four.values()} == {4}
    assert all(result["lanes"] % 4 == 0 for result in four.values())


def test_several_devices_give_the_numbers_of_one(runs):
    one, four = runs
    assert one.keys() == four.keys()
    for name in one:
        assert set(one[name]) - {"spread", "lanes"} == {"0", "1", "2", "4", "9"}
        for trial in ("0", "1", "2", "4", "9"):
            np.testing.assert_allclose(four[name][trial], one[name][trial], rtol=1e-9)
