"""Widths, and the split into traced numbers and a static signature."""

import jax.numpy as jnp
import numpy as np
import pytest

from tuner import InputError, Width
from tuner.hyperparameters import Elastic, Static, Traced, split
from tuner.training.settings import FLOATS


def signature(**hyperparameters):
    return split(hyperparameters).signature


@pytest.mark.parametrize(("size", "cap"), [(1, 1), (5, 8), (np.int64(8), 8), (8, np.int32(8))])
def test_a_width(size, cap):
    assert Width(size, cap).size == size


@pytest.mark.parametrize(
    ("size", "cap", "told"),
    [
        (0, 8, "0"),
        (9, 8, "9"),
        (-1, 8, "-1"),
        (2.0, 8, "2.0"),
        (True, 8, "True"),
        (1, 0, "0"),
        (1, -2, "-2"),
        (1, 2.0, "2.0"),
        (1, True, "True"),
        (1, None, "None"),
    ],
)
def test_a_width_that_cannot_be(size, cap, told):
    with pytest.raises(InputError, match="of a Width must be a whole number") as error:
        Width(size, cap)
    assert error.value.value == told


def test_a_float_is_traced_a_width_elastic_and_the_rest_static():
    parts = split({"rate": 0.1, "units": 3, "name": "relu", "on": True, "off": None, "act": jnp.tanh, "w": Width(5, 8)})
    assert dict(parts.signature.slots) == {
        "rate": Traced(),
        "units": Static("int", 3),
        "name": Static("str", "relu"),
        "on": Static("bool", True),
        "off": Static("NoneType", None),
        "act": Static(type(jnp.tanh).__name__, jnp.tanh),
        "w": Elastic(8),
    }
    assert parts.numbers == {"rate": 0.1, "w": 5}


def test_numpy_scalars_are_their_python_kind():
    numpy_parts = split({"a": np.float64(0.5), "b": np.int32(3), "c": np.bool_(True), "d": np.float32(0.25)})
    assert numpy_parts == split({"a": 0.5, "b": 3, "c": True, "d": 0.25})
    assert all(type(number) is float for number in numpy_parts.numbers.values())


def test_equal_numbers_of_other_kinds_are_other_signatures():
    assert len({signature(a=1), signature(a=True), signature(a="1"), signature(a=1.0), signature(a=None)}) == 5


def test_numbers_and_order_do_not_move_a_signature():
    assert signature(a=0.1, b=[Width(3, 8), 2]) == signature(b=(Width(7, 8), 2), a=0.9)
    assert hash(signature(a=0.1, w=Width(1, 4))) == hash(signature(w=Width(4, 4), a=5.0))
    assert signature(w=Width(3, 8)) != signature(w=Width(3, 9))
    assert signature(w=[Width(3, 8)]) != signature(w=[Width(3, 8)] * 2)


def test_a_trainers_int_is_a_float():
    parts = split({"learning_rate": 1, "batch_size": 8, "momentum": 0}, floats=FLOATS)
    assert parts.numbers == {"learning_rate": 1.0, "momentum": 0.0}
    assert type(parts.numbers["learning_rate"]) is float
    assert parts.signature == split({"learning_rate": 0.5, "batch_size": 8, "momentum": 0.9}).signature


def test_a_bool_stays_a_bool():
    assert dict(split({"momentum": True}, floats=FLOATS).signature.slots) == {"momentum": Static("bool", True)}


def test_a_float_can_be_made_static():
    parts = split(
        {"dropout": 0.5, "rates": [0.1, 0.2], "learning_rate": 1}, floats=FLOATS, static=["dropout", "rates.1"]
    )
    assert parts.numbers == {"rates.0": 0.1, "learning_rate": 1.0}
    assert parts.signature.fill({"rates.0": 7.0, "learning_rate": 3.0}) == {
        "dropout": 0.5,
        "rates": [7.0, 0.2],
        "learning_rate": 3.0,
    }


def test_fill_is_the_way_back():
    hyperparameters = {
        "hidden": [Width(5, 8), Width(3, 4)],
        "rates": [[0.1, 0.2], [0.3, "x"]],
        "learning_rate": 0.01,
        "batch_size": 32,
        "none": None,
    }
    parts = split(hyperparameters)
    assert parts.signature.fill(parts.numbers) == hyperparameters
    assert parts.numbers["hidden.1"] == 3
    assert parts.numbers["rates.1.0"] == 0.3
    assert parts.signature.caps == {"hidden.0": 8, "hidden.1": 4}
    assert parts.signature.sizes == ["hidden.0", "hidden.1"]
    assert set(parts.signature.number_paths) == set(parts.numbers)


def test_another_cap_can_be_used():
    parts = split({"w": Width(5, 256)}, cap_for=lambda width: 2 * width.size)
    assert parts.signature.caps == {"w": 10}


@pytest.mark.parametrize("value", [{"a": 1}, {1, 2}, 1j, np.ones(3), b"x"], ids=repr)
def test_what_no_program_can_take_is_told_with_its_name(value):
    with pytest.raises(InputError, match="'extra'") as error:
        split({"extra": value})
    assert error.value.value == repr(value)
    with pytest.raises(InputError, match=r"'extra\.1'"):
        split({"extra": [1, value]})
