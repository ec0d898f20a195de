import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from tuner import InputError
from tuner.experiment import resolve
from tuner.experiment.sampling import DRAWS, sampled


def space(trial):
    return {
        "a": trial.suggest_float("a", 1e-4, 1e-1, log=True),
        "b": trial.suggest_int("b", 3, 11, step=4),
        "c": trial.suggest_categorical("c", ["x", None, 3]),
    }


def test_seeded_draws_and_every_end():
    draws, distributions, ends, conditional = sampled(space)
    assert distributions == {
        "a": FloatDistribution(1e-4, 1e-1, log=True),
        "b": IntDistribution(3, 11, step=4),
        "c": CategoricalDistribution(["x", None, 3]),
    }
    assert len(draws) == DRAWS + 2 + 2 + 3
    assert conditional == frozenset()
    assert {name: len(different) for name, different in ends.items()} == {"a": 2, "b": 2, "c": 3}
    assert [draw["c"] for draw in ends["c"]] == ["x", None, 3]
    assert len({(draw["a"], draw["b"]) for draw in ends["c"]}) == 1
    ends = draws[DRAWS:]
    assert {1e-4, 1e-1} <= {draw["a"] for draw in ends}
    assert {3, 11} <= {draw["b"] for draw in ends}
    assert {"x", None, 3} <= {draw["c"] for draw in ends}
    assert len({draw["a"] for draw in draws[:DRAWS]}) == DRAWS
    assert sampled(space)[0] == draws


def test_a_branch_that_seldom_comes_is_seen():
    def branching(trial):
        kind = trial.suggest_categorical("kind", [*"abcdefghijklmnopqrstuvwxyz"])
        return {"kind": kind, f"of_{kind}": trial.suggest_float(f"of_{kind}", 0, 1)}

    draws, distributions, _, conditional = sampled(branching)
    assert conditional == distributions.keys() - {"kind"}
    assert {draw["kind"] for draw in draws} == set("abcdefghijklmnopqrstuvwxyz")
    assert len(distributions) == 27


def test_the_ends_of_a_branch_that_comes_late_are_seen():
    def branching(trial):
        kind = trial.suggest_categorical("kind", [*"abcdefghijklmnopqrstuvwxyz"])
        return {f"of_{kind}": trial.suggest_float(f"of_{kind}", 0, 1)}

    draws, *_ = sampled(branching)
    for kind in "abcdefghijklmnopqrstuvwxyz":
        assert {0.0, 1.0} <= {draw.get(f"of_{kind}") for draw in draws}


def test_a_range_that_depends_on_another_value():
    def nested(trial):
        most = trial.suggest_int("most", 1, 9)
        return {"most": most, "some": trial.suggest_int("some", 0, most)}

    draws, *_ = sampled(nested)
    assert all(0 <= draw["some"] <= draw["most"] for draw in draws)


def test_what_raises_says_where():
    def late(trial):
        units = trial.suggest_int("units", 4, 64)
        return {"units": 1 // (64 - units)}

    with pytest.raises(InputError, match=r"the search space raises: ZeroDivisionError: .* \(test_sampling.py, line"):
        sampled(late)


@pytest.mark.parametrize("returned", [None, [("a", 1)], 3, {1: 2}, {"a": 1, None: 2}], ids=repr)
def test_no_mapping(returned):
    with pytest.raises(InputError, match="returns no mapping from names to values"):
        resolve(lambda trial: returned, None)


def test_an_input_error_is_kept():
    def refuse(trial):
        raise InputError("no", "such", "thing")

    with pytest.raises(InputError, match=r"^no: such. thing$"):
        resolve(refuse, None)


def test_a_mapping_is_copied():
    mapping = {"a": 1}
    assert resolve(lambda trial: mapping, None) == mapping
    assert resolve(lambda trial: mapping, None) is not mapping
