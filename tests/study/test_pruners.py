"""Halving over whole rounds, as a pure function and as a pruner."""

import itertools

import optuna
import pytest
from optuna.study import StudyDirection

from tuner.study.pruners import CohortHalving, judges, make_pruner, survives

UP, DOWN = StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE


@pytest.mark.parametrize(
    ("value", "values", "direction", "expected"),
    [
        (0.9, [0.9], UP, True),
        (0.5, [0.9, 0.5], UP, False),
        (0.9, [0.9, 0.5, 0.4], UP, True),
        (0.5, [0.9, 0.5, 0.4], UP, False),
        (0.5, [0.9, 0.5, 0.4, 0.3, 0.2, 0.1], UP, True),
        (0.4, [0.9, 0.5, 0.4, 0.3, 0.2, 0.1], UP, False),
        (0.1, [0.9, 0.5, 0.1], DOWN, True),
        (0.5, [0.9, 0.5, 0.1], DOWN, False),
        (0.5, [0.5, 0.5, 0.5], UP, True),
    ],
)
def test_the_best_third_goes_on(value, values, direction, expected):
    assert survives(value, values, 3, direction) is expected


def test_rungs():
    pruner = CohortHalving(min_resource=1, reduction_factor=3)
    assert [step for step in range(1, 30) if pruner.is_rung(step)] == [1, 3, 9, 27]


def test_the_order_of_the_calls_does_not_matter():
    outcomes = set()
    for order in itertools.permutations(range(4)):
        study = optuna.create_study(direction="maximize", pruner=CohortHalving())
        trials = [study.ask() for _ in range(4)]
        for trial, value in zip(trials, [0.1, 0.4, 0.3, 0.2], strict=True):
            trial.report(value, 1)
        outcomes.add(tuple(number for number in sorted(order, key=order.index) if not trials[number].should_prune()))
    assert outcomes == {(1,)}


def test_only_pruners_that_judge_are_asked():
    assert not judges(make_pruner("none", 20), 1)
    assert judges(make_pruner("asha", 20), 3)
    assert not judges(make_pruner("asha", 20), 4)
    assert judges(make_pruner("median", 20), 4)
