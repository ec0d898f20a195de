"""Tasks of one's own: the page's example, and what is said of wrong ones."""

import re
from pathlib import Path

import jax.numpy as jnp
import pytest

import tuner
from tuner import InputError, Metric, Task, datasets, models

from .helpers import checked

PAGE = Path(__file__).parents[2] / "docs" / "tasks.md"


def page_experiment():
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    names = {}
    exec(block, names)
    return names["experiment"]


def test_the_page_s_example_runs(tmp_path):
    result = tuner.run(page_experiment(), trials=3, storage=f"sqlite:///{tmp_path}/tuner.db", tracking_uri=None)
    assert result.memory.metric == "loss"
    assert result.study.direction.name == "MINIMIZE"
    best = result.study.best_trial.user_attrs["tuner:history"]["means"]
    assert set(best) == {"coverage", "width", "train_loss"}
    assert 0.4 < best["coverage"][-1] < 1
    assert 50 < best["width"][-1] < 350  # of 25 to 346


def absolute(outputs, targets, hyperparameters):
    return abs(outputs - targets).mean(-1) * hyperparameters.get("factor", 1.0)


WORST = Metric("minimize", lambda outputs, targets, scale: {"worst": outputs[:, 0]}, lambda sums: sums["worst"])


def look(losses=absolute, metrics=None, **given):
    task = Task(losses, {"worst": WORST} if metrics is None else metrics)
    return checked(
        lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 0.01, 0.1), **given},
        models.MLP,
        data=datasets.diabetes,
        task=task,
        metric="loss",
    )


def test_what_a_loss_reads_is_read():
    assert look(factor=2.0).failure is None
    with pytest.raises(InputError, match=r"nothing reads the hyperparameter .*: facto\. Did you mean 'factor'"):
        look(facto=2.0)


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        (lambda outputs, targets, given: abs(outputs - targets), "losses are not one an example: losses: shape"),
        (lambda outputs, targets, given: abs(outputs - targets).mean(), "losses are not one an example"),
        (lambda outputs, targets, given: outputs @ targets, "the task's losses raise: TypeError"),
        (lambda outputs, targets: outputs, "the task's losses raise: TypeError"),
    ],
)
def test_losses_that_are_not_one_an_example_are_told(losses, message):
    with pytest.raises(InputError, match=re.escape(message)):
        look(losses)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (lambda outputs, targets, scale: {"x": outputs.sum()}, "the parts of it are not one an example"),
        (lambda outputs, targets, scale: {"rows": outputs[:, 0]}, "two metrics add up parts of one name: rows"),
        (lambda outputs, targets, scale: {"worst": outputs[:, 0]}, "two metrics add up parts of one name: worst"),
        (lambda outputs, targets: {}, "the parts of it raise"),
    ],
)
def test_parts_that_cannot_be_added_up_are_told(parts, message):
    metrics = {"worst": WORST, "it": Metric("minimize", parts, lambda sums: jnp.zeros(2))}
    with pytest.raises(InputError, match=message):
        look(metrics=metrics)


def test_a_task_that_is_none_is_refused():
    with pytest.raises(InputError, match="the task is no Task: quantile"):
        checked(lambda trial: {}, models.MLP, task="quantile")
    with pytest.raises(InputError, match="metrics is no list of names: f1"):
        checked(lambda trial: {}, models.MLP, metrics="f1")
