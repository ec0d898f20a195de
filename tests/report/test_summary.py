"""A study's summary: short where it ends a run, with every program where a study is shown."""

import pytest

from tests.study.conftest import iris_experiment
from tuner import run
from tuner.report.summary import summary


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("summary")
    return run(iris_experiment(epochs=1), trials=3, storage=f"sqlite:///{folder}/tuner.db", tracking_uri=None)


def test_a_run_ends_with_a_short_one(result):
    lines = summary(result).splitlines()
    assert sum("of its signature" in line for line in lines) == 0
    assert len(lines) <= 16


def test_a_study_that_is_shown_says_why_each_program_was_compiled(result):
    text = summary(result, full=True)
    assert "waiting for compilers" in text
    assert f"{result.cost['programs']} used" in text
    for program in result.cost["compiled"]:
        assert f"hidden.0 {program['caps']['hidden.0']}" in text
        assert program["reason"] in text


def test_a_study_that_has_not_ended_has_no_cost_yet(result):
    assert "cost" not in summary(type(result)(**{**vars(result), "cost": {}}), full=True)
