"""Which metrics a task has, and what it is refused."""

import pytest

from tuner import Metric, Task
from tuner.errors import InputError
from tuner.training.metrics import CLASSIFICATION, REGRESSION, of_class
from tuner.training.tasks import LOSS, TASKS, task_of


def test_what_is_tracked_follows_from_the_kind_of_targets():
    assert set(task_of("classification").metrics) == {"loss", "accuracy", "precision", "recall", "f1"}
    assert set(task_of("regression").metrics) == {"loss", "mae", "mse", "rmse", "r2"}
    assert set(task_of("next_token").metrics) == {"loss", "perplexity", "accuracy"}


def test_what_is_asked_for_is_tracked_too():
    found = task_of("classification", labels=("benign", 7), asked=["roc_auc", "f1/7", "recall/benign", "accuracy"])
    assert set(found.metrics) == {*task_of("classification").metrics, "roc_auc", "f1/7", "recall/benign"}
    assert found.metrics["f1/7"] is of_class("f1", 1)
    assert found.metrics["recall/benign"] is of_class("recall", 0)
    assert found.metrics["roc_auc"] is CLASSIFICATION["roc_auc"]


def test_a_direction_comes_with_each_metric():
    known = {name: metric for task in TASKS.values() for name, metric in task.metrics.items()}
    up = {name for name, metric in known.items() if metric.direction == "maximize"}
    assert up == {"accuracy", "precision", "recall", "f1", "roc_auc", "r2"}


def test_equal_tasks_share_programs():
    first, second = (task_of("classification", labels=("a", "b"), asked=["f1/a"]) for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)
    assert first != task_of("classification")


def test_a_metric_that_does_not_exist_or_fit_is_refused():
    with pytest.raises(InputError, match=r"no such metric: acuracy\. Did you mean 'accuracy'"):
        task_of("classification", asked=["acuracy"])
    with pytest.raises(InputError, match="does not fit a regression: accuracy"):
        task_of("regression", asked=["accuracy"])
    with pytest.raises(InputError, match=r"class is none of the data's: f1/bening\. .*Did you mean 'benign'"):
        task_of("classification", labels=("benign", "malignant"), asked=["f1/bening"])
    assert task_of("regression", asked=["r2"]).metrics["r2"] is REGRESSION["r2"]


def test_a_task_of_one_s_own_has_its_own_metrics_alone():
    def losses(outputs, targets, hyperparameters):
        return abs(outputs - targets).mean(-1)

    worst = Metric("minimize", lambda outputs, targets, scale: {"x": outputs[:, 0]}, lambda sums: sums["x"])
    own = task_of("regression", own=Task(losses, {"worst": worst}), asked=["worst"])
    assert own.metrics == {"loss": LOSS, "worst": worst}
    assert own.losses is losses
    with pytest.raises(InputError, match="does not fit this task: r2"):
        task_of("regression", own=Task(losses, {"worst": worst}), asked=["r2"])
