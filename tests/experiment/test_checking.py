import pytest
from flax import nnx

from tuner import InputError, Width, models
from tuner.experiment import notes_of

from .helpers import Plain, checked


def rates(trial):
    return {
        "units": 4,
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.1),
        "dropout": trial.suggest_float("dropout", 0.1, 0.5),
    }


def test_a_native_dropouts_rate_is_static_and_said_so():
    found = checked(rates, Plain)
    assert found.static == {"dropout"}
    assert found.programs is None
    assert found.failure is None
    assert "the value of dropout while it is built" in notes_of(found)[0]
    assert "N trials can need N programs" in notes_of(found)[0]
    assert "40 trials can need 40 programs" in notes_of(found, 40)[0]


def test_the_zoos_dropout_is_a_number():
    found = checked(lambda trial: rates(trial) | {"hidden": [trial.suggest_int("h", 3, 4)]}, reads(models.MLP, "units"))
    assert found.static == frozenset()
    assert notes_of(found) == []
    assert found.programs == (2, 2)


def reads(model, *names):
    def reading(hyperparameters, spec, rngs):
        for name in names:
            hyperparameters[name]
        return model(hyperparameters, spec, rngs)

    return reading


def test_several_static_floats_and_a_nested_one():
    def model(hyperparameters, spec, rngs):
        first, _ = hyperparameters["rates"]
        if first > 0.25 and hyperparameters["slope"] > 0:
            return nnx.Linear(spec.input_shape[0], spec.outputs, rngs=rngs)
        return Plain({"units": 3, "dropout": 0.5}, spec, rngs)

    found = checked(
        lambda trial: {
            "rates": [trial.suggest_float(name, 0.1, 0.5) for name in ("a", "b")],
            "slope": trial.suggest_float("slope", 0, 1),
            "learning_rate": 0.1,
        },
        model,
    )
    assert found.static == {"rates.0", "slope"}


def test_a_float_that_is_static_in_one_branch_only():
    def model(hyperparameters, spec, rngs):
        if hyperparameters["kind"] == "native":
            return Plain({"units": 3, "dropout": hyperparameters["rate"]}, spec, rngs)
        return nnx.Linear(spec.input_shape[0], spec.outputs, rngs=rngs)

    def space(trial):
        return {
            "kind": trial.suggest_categorical("kind", ["linear", "native"]),
            "rate": trial.suggest_float("rate", 0.1, 0.5),
        }

    assert checked(space, model).static == {"rate"}


def test_programs_are_signatures_times_caps():
    def space(trial):
        return {
            "hidden": [Width(trial.suggest_int(f"h{i}", 3, 16), cap=16) for i in range(2)],
            "batch_size": trial.suggest_categorical("batch_size", [8, 16]),
            "optimizer": trial.suggest_categorical("optimizer", ["adam", "sgd", "lion"]),
        }

    assert checked(space, models.MLP).programs == (2 * 3, 3 * 3 * 2 * 3)


def test_a_name_counts_as_read_however_it_is_read():
    def model(hyperparameters, spec, rngs):
        hyperparameters["one"], hyperparameters.get("two"), "three" in hyperparameters
        return nnx.Linear(spec.input_shape[0], spec.outputs, rngs=rngs)

    found = checked(lambda trial: {"one": 1, "two": 2, "three": 3, "l1": 0.1}, model)
    assert not found.reads_all
    with pytest.raises(InputError, match=r"nothing reads .*: four\."):
        checked(lambda trial: {"one": 1, "four": 4}, model)


def test_a_name_that_is_read_in_one_branch_is_read():
    def model(hyperparameters, spec, rngs):
        if hyperparameters["deep"]:
            hyperparameters["depth"]
        return nnx.Linear(spec.input_shape[0], spec.outputs, rngs=rngs)

    def space(trial):
        return {"deep": trial.suggest_categorical("deep", [False, True]), "depth": 2}

    assert checked(space, model).failure is None


def test_a_model_that_takes_keywords_reads_all():
    def keywords(spec, rngs, units, **rest):
        return nnx.Linear(spec.input_shape[0], spec.outputs, rngs=rngs)

    found = checked(
        lambda trial: {"units": 4, "droput": 0.5}, lambda values, spec, rngs: keywords(spec, rngs, **values)
    )
    assert found.reads_all


def test_a_model_that_raises_for_all_draws_is_no_wrong_input():
    def model(hyperparameters, spec, rngs):
        raise RuntimeError("not today")

    found = checked(lambda trial: {"units": 4}, model)
    assert isinstance(found.failure, RuntimeError)


def test_a_model_that_raises_for_some_draws():
    def model(hyperparameters, spec, rngs):
        if hyperparameters["units"] == 3:
            raise RuntimeError("not three")
        return Plain(hyperparameters, spec, rngs)

    assert checked(lambda trial: {"units": trial.suggest_int("units", 2, 4)}, model).failure is None


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda self, x: self.output(x)[:, :2], r"must have shape \(2, 3\): \(2, 2\)"),
        (lambda self, x: self.output(x).sum(), r"must have shape \(2, 3\): "),
        (lambda self, x: (self.output(x), 1), r"must have shape \(2, 3\): tuple"),
        (lambda self, x: self.output(x).T, r"must have shape \(2, 3\): \(3, 2\)"),
    ],
)
def test_an_output_of_the_wrong_shape(call, said):
    class Model(nnx.Module):
        def __init__(self, hyperparameters, spec, rngs):
            self.output = nnx.Linear(spec.input_shape[0], spec.outputs, rngs=rngs)

        __call__ = call

    with pytest.raises(InputError, match=said):
        checked(lambda trial: {}, Model)
