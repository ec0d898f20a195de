import dataclasses

import pytest

from tuner import Experiment, InputError, models
from tuner.experiment import override
from tuner.experiment.overrides import _FIELDS

from .helpers import flowers

EXPERIMENT = flowers(lambda trial: {}, models.MLP)


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("epochs=5", "epochs", 5),
        ("folds=3", "folds", 3),
        ("data.limit=50", "data_limit", 50),
        ("metric=loss", "metric", "loss"),
        ("pruner=none", "pruner", "none"),
        ("sampler=random", "sampler", "random"),
        ("split_seed=7", "split_seed", 7),
        ("standardize=false", "standardize", False),
        ("standardize=True", "standardize", True),
        ("test_fraction=0.25", "test_fraction", 0.25),
    ],
)
def test_a_setting_is_typed(setting, field, value):
    changed = override(EXPERIMENT, [setting])
    assert getattr(changed, field) == value
    assert type(getattr(changed, field)) is type(value)
    unchanged = {f.name for f in dataclasses.fields(Experiment)} - {field}
    assert all(getattr(changed, name) is getattr(EXPERIMENT, name) for name in unchanged)


def test_every_setting_is_a_field():
    assert {field for field, *_ in _FIELDS.values()} <= {f.name for f in dataclasses.fields(Experiment)}


def test_several_settings_and_the_last_one_of_a_key():
    changed = override(EXPERIMENT, ["epochs=5", "folds=3", "epochs=7"])
    assert (changed.epochs, changed.folds) == (7, 3)
    assert override(EXPERIMENT, []) is EXPERIMENT


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epochs", "--set takes KEY=VALUE: epochs. Write --set epochs=5"),
        ("=5", "does not exist: . Known names: data.limit"),
        ("epoch=5", "does not exist: epoch. Did you mean 'epochs'?"),
        ("model=MLP", "does not exist: model"),
        ("epochs=", "--set epochs takes a whole number: "),
        ("epochs=1e2", "--set epochs takes a whole number: 1e2"),
        ("standardize=2", "--set standardize takes true or false: 2"),
        ("test_fraction=a fifth", "--set test_fraction takes a number: a fifth"),
        ("epochs=0", "epochs must be a whole number of at least 1: 0"),
        ("sampler=", "there is no sampler of this name: . Known names: cmaes"),
    ],
)
def test_a_wrong_setting_says_so(setting, message):
    with pytest.raises(InputError) as caught:
        override(EXPERIMENT, [setting])
    assert message in str(caught.value)
