"""The command line: what it answers to wrong input, what it prints, how fast it starts."""

import contextlib
import json
import re
import sqlite3
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import optuna
import pytest

from tuner import cli
from tuner.experiment import fingerprint, load_experiment
from tuner.study.record import memory_of
from tuner.study.stored import save_memory

TUNER = Path(sys.executable).with_name("tuner")

MODELS = """
from flax import nnx


def build(outputs=None, reads=("hidden",)):
    class Model(nnx.Module):
        def __init__(self, hyperparameters, spec, rngs):
            size = max(hyperparameters[name] for name in reads)
            self.hidden = nnx.Linear(spec.input_shape[0], size, rngs=rngs)
            self.last = nnx.Linear(size, outputs or spec.outputs, rngs=rngs)

        def __call__(self, x):
            return self.last(nnx.relu(self.hidden(x)))

    return Model


def flat(hyperparameters, spec, rngs):
    linear = nnx.Linear(spec.input_shape[0], 1, rngs=rngs)
    linear_call = type(linear).__call__
    return type("Flat", (nnx.Linear,), {"__call__": lambda self, x: linear_call(self, x)[:, 0]})(
        spec.input_shape[0], 1, rngs=rngs
    )


def broken(hyperparameters, spec, rngs):
    raise RuntimeError(f"no model of {hyperparameters['hidden']} units today")
"""
DEFAULTS = {
    "hidden": "4",
    "rate": "0.01",
    "batch": "16",
    "more": "",
    "model": "build()",
    "data": "datasets.iris",
    "metric": "'accuracy'",
    "fields": "",
    "returned": "found",
}
TEMPLATE = MODELS + (
    """
from tuner import Experiment, Width, datasets, models


def search_space(trial):
    found = dict(hidden={hidden}, learning_rate={rate}, batch_size={batch}, {more})
    return {returned}


experiment = Experiment(
    name="flowers", data={data}, model={model}, search_space=search_space, metric={metric},
    epochs=1, {fields}
)
"""
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def text(**changes):
    filled = TEMPLATE
    for name, value in (DEFAULTS | changes).items():
        filled = filled.replace("{" + name + "}", value)
    return filled


def write(folder, **changes):
    (folder / "flowers.py").write_text(text(**changes))


def call(capsys, *words):
    """The exit code, stdout and stderr of a command in this process."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        cli.main([str(word) for word in words])
    captured = capsys.readouterr()
    return left.value.code, captured.out, captured.err


def refused(capsys, folder, *words):
    """The error of a command that must refuse its input: said once, in both forms, and nothing is written."""
    before = listing(folder)
    code, out, err = call(capsys, *words, "--json")
    assert (code, err) == (2, "")
    answer = json.loads(out)
    assert list(answer) == ["error"]
    assert list(answer["error"]) == ["what", "value", "fix"]
    error = answer["error"]
    assert all(isinstance(part, str) and part.strip() for part in error.values())
    assert len(error["what"] + error["value"]) < 400
    assert (code, out, err) == (2, json.dumps(answer) + "\n", "")
    code, out, err = call(capsys, *words)
    assert (code, out) == (2, "")
    assert err == f"error: {error['what']}: {error['value'].removesuffix(' --json')}\n  {error['fix']}\n"
    assert "Traceback" not in err
    assert listing(folder) == before
    return error


def listing(folder):
    """The files of a folder and what they hold: a database's rows and its tables."""
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {path.name: content(path) for path in files if path.suffix not in {".db-shm", ".db-wal"}}


def content(path):
    if not path.read_bytes().startswith(b"SQLite"):
        return path.read_bytes()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def says(error, *parts):
    whole = " | ".join(error.values())
    for part in parts:
        assert part in whole


WRONG_EXPERIMENTS = {
    "search space raises": (
        {"more": "**{'x': 1 / 0}"},
        ["the search space raises", "ZeroDivisionError: division by zero", "flowers.py, line"],
    ),
    "search space returns None": ({"returned": "None"}, ["returns no mapping", "None", "dict("]),
    "search space returns a list": ({"returned": "[1]"}, ["returns no mapping", "[1]"]),
    "search space with numbers for names": ({"returned": "{1: 2}"}, ["returns no mapping", "{1: 2}"]),
    "name that nothing reads": (
        {"more": "droput=0.1, dropout=0.2", "model": "build(reads=('hidden', 'dropout'))"},
        ["nothing reads", "droput", "'dropout'"],
    ),
    "name that the zoo's model does not read": (
        {"model": "models.MLP", "hidden": "[4]", "more": "droput=0.1"},
        ["nothing reads", "droput", "'dropout'"],
    ),
    "name that the model misses": (
        {"more": "droput=0.1", "model": "build(reads=('hidden', 'dropout'))"},
        ["nothing reads", "droput", "'dropout'"],
    ),
    "trainer's name misspelt": ({"more": "wieght_decay=0.1"}, ["nothing reads", "wieght_decay", "'weight_decay'"]),
    "learning rate 0": ({"rate": "0.0"}, ["'learning_rate'", "above 0", "0.0"]),
    "learning rate 0 at the end of its range": (
        {"rate": "trial.suggest_float('rate', 0, 1)"},
        ["'learning_rate'", "above 0", "0.0"],
    ),
    "negative learning rate": ({"rate": "-0.1"}, ["'learning_rate'", "above 0", "-0.1"]),
    "learning rate NaN": ({"rate": "float('nan')"}, ["'learning_rate'", "above 0", "nan"]),
    "infinite learning rate": ({"rate": "float('inf')"}, ["'learning_rate'", "above 0", "inf"]),
    "learning rate as text": ({"rate": "'0.1'"}, ["'learning_rate'", "above 0", "0.1"]),
    "momentum 1": ({"more": "optimizer='sgd', momentum=1.0"}, ["'momentum'", "below 1", "1.0"]),
    "unknown optimizer": ({"more": "optimizer='adamm'"}, ["'optimizer'", "adamm", "'adam'"]),
    "optimizer among categories": (
        {"more": "optimizer=trial.suggest_categorical('optimizer', ['sgd', 'adam', 'adaam'])"},
        ["adaam", "'adam'"],
    ),
    "batch 0": ({"batch": "0"}, ["'batch_size'", "at least 1", "0"]),
    "batch as a float": ({"batch": "16.0"}, ["'batch_size'", "whole number", "16.0"]),
    "batch larger than a fold": (
        {"batch": "97", "fields": "folds=5"},
        ["96 training rows", "batch_size=97", "Lower batch_size"],
    ),
    "Width over its cap": (
        {"model": "models.MLP", "hidden": "[Width(trial.suggest_int('h', 4, 9), cap=8)]"},
        ["its cap, 8", "9", "cap"],
    ),
    "Width 0": ({"model": "models.MLP", "hidden": "[Width(0, cap=8)]"}, ["from 1 to its cap, 8", "0"]),
    "a hyperparameter that no program takes": ({"more": "x={1, 2}"}, ["'x' of type set", "{1, 2}"]),
    "unknown metric": ({"metric": "'acuracy'"}, ["no such metric", "acuracy", "'accuracy'"]),
    "metric of another task": ({"metric": "'rmse'"}, ["does not fit a classification", "rmse", "accuracy"]),
    "classifier's metric for a regression": (
        {"data": "datasets.diabetes"},
        ["does not fit a regression", "accuracy", "rmse"],
    ),
    "metric as a function": ({"metric": "len"}, ["metric", "by its name", "len"]),
    "too many outputs": ({"model": "build(outputs=4)"}, ["shape (2, 3)", "(2, 4)", "spec.outputs = 3"]),
    "outputs without an axis": (
        {"model": "flat", "hidden": "None", "data": "datasets.diabetes", "metric": "'rmse'"},
        ["shape (2, 1)", "(2,)"],
    ),
    "test_fraction 0": ({"fields": "test_fraction=0"}, ["test_fraction", "between 0 and 1", "0"]),
    "test_fraction 1": ({"fields": "test_fraction=1"}, ["test_fraction", "between 0 and 1", "1"]),
    "test_fraction 1.5": ({"fields": "test_fraction=1.5"}, ["test_fraction", "between 0 and 1", "1.5"]),
    "test_fraction that leaves no test": ({"fields": "test_fraction=0.001"}, ["test_fraction", "0.001"]),
    "folds 0": ({"fields": "folds=0"}, ["folds", "at least 2", "0"]),
    "folds 1": ({"fields": "folds=1"}, ["folds", "at least 2", "1"]),
    "more folds than examples of a class": ({"fields": "folds=41"}, ["class 0", "41 folds", "40"]),
    "no data": ({"data": "None"}, ["data is no Dataset", "NoneType"]),
    "data that raises": ({"data": "lambda: {}['petals']"}, ["data", "KeyError", "petals", "flowers.py, line"]),
    "data of another kind": ({"data": "lambda: [1, 2]"}, ["returns no Dataset", "list"]),
    "no such file of data": ({"data": "datasets.csv('gone.csv', target='y')"}, ["no such data file", "gone.csv"]),
    "unknown sampler": ({"fields": "sampler='tpee'"}, ["sampler", "tpee", "'tpe'"]),
    "unknown pruner": ({"fields": "pruner='ahsa'"}, ["pruner", "ahsa", "'asha'"]),
    "grid over a continuous range": (
        {"fields": "sampler='grid'", "rate": "trial.suggest_float('rate', 0.1, 1)"},
        ["grid", "'rate'", "FloatDistribution"],
    ),
    "model that is no function": ({"model": "'MLP'"}, ["model cannot be called", "MLP"]),
    "unknown field": ({"fields": "fold=3"}, ["fold", "flowers.py, line"]),
}


@pytest.mark.parametrize(("changes", "parts"), WRONG_EXPERIMENTS.values(), ids=WRONG_EXPERIMENTS)
def test_a_wrong_experiment_is_refused(changes, parts, folder, capsys):
    write(folder, **changes)
    error = refused(capsys, folder, "run", "flowers.py")
    says(error, *parts)
    assert refused(capsys, folder, "check", "flowers.py") == error


WRONG_FILES = {
    "missing": (None, "flowers.py", ["does not exist", "flowers.py"]),
    "a folder": (None, ".", ["is a folder", "."]),
    "syntax error": ("def (:\n", "flowers.py", ["syntax error", "flowers.py, line 1"]),
    "no Python": ("\0", "flowers.py", ["flowers.py"]),
    "raises": ("import nothing_of_this_name\n", "flowers.py", ["raises", "nothing_of_this_name", "line 1"]),
    "leaves": ("import sys\nsys.exit(0)\n", "flowers.py", ["flowers.py", "SystemExit"]),
    "empty": ("", "flowers.py", ["defines no experiment", "experiment", "tuner.Experiment("]),
    "experiment of another type": ("experiment = 1\n", "flowers.py", ["defines no experiment", "tuner.Experiment("]),
    "name that is not there": (text(), "flowers.py:experimnet", ["experimnet", "'experiment'"]),
    "name of something else": (text(), "flowers.py:search_space", ["search_space", "experiment"]),
}


@pytest.mark.parametrize(("content", "reference", "parts"), WRONG_FILES.values(), ids=WRONG_FILES)
def test_a_wrong_file_is_refused(content, reference, parts, folder, capsys):
    if content is not None:
        (folder / "flowers.py").write_text(content)
    says(refused(capsys, folder, "check", reference), *parts)


WRONG_TABLES = {
    "an empty column": (["1,,a", "3,,b"], ["no value", "width"]),
    "text among inputs": (["1,2,a", "3,4,b", "5,wide,a"], ["no number", "'width'", "row 3", "wide"]),
    "NaN among targets": (["1,2,a", "3,4,"], ["missing value", "'kind'", "row 2"]),
    "infinite": (["1,2,a", "inf,4,b"], ["infinite", "'length'", "row 2"]),
    "one class": (["1,2,a"] * 20, ["single class", "a"]),
    "rare class": (["1,2,a"] * 40 + ["1,2,b"] * 4, ["class 'b'", "5 folds", "3"]),
    "no rows": ([], ["no rows", "flowers.csv"]),
}


@pytest.mark.parametrize(("rows", "parts"), WRONG_TABLES.values(), ids=WRONG_TABLES)
def test_a_wrong_table_is_refused(rows, parts, folder, capsys):
    write(folder, data="datasets.csv('flowers.csv', target='kind')")
    (folder / "flowers.csv").write_text("\n".join(["length,width,kind", *rows]) + "\n")
    says(refused(capsys, folder, "run", "flowers.py"), *parts)


WRONG_OPTIONS = {
    "negative --trials": (["--trials", "-1"], ["--trials", "at least 0", "-1"]),
    "--trials in words": (["--trials", "many"], ["--trials", "many"]),
    "--timeout 0": (["--timeout", "0"], ["--timeout", "above 0"]),
    "--timeout NaN": (["--timeout", "nan"], ["--timeout", "above 0", "nan"]),
    "--parallel-trials 0": (["--parallel-trials", "0"], ["--parallel-trials", "at least 1", "0"]),
    "--parallel-trials in words": (["--parallel-trials", "all"], ["--parallel-trials", "auto", "all"]),
    "--parallel-trials of signs": (["--parallel-trials", "--5"], ["--parallel-trials", "auto", "--5"]),
    "negative --seed": (["--seed", "-1"], ["--seed", "-1"]),
    "--study that does not show": (["--study", "a\nb\x1b[2J"], ["characters that do not show", "'a\\nb\\x1b[2J'"]),
    "--study without a name": (["--study", " "], ["a study needs a name"]),
    "--study of many characters": (["--study", "x" * 501], ["longer than 500 characters", "xxx..."]),
    "unknown option": (["--trails", "3"], ["--trails", "--help"]),
    "file:// for MLflow": (["--tracking-uri", "file:///tmp/mlruns"], ["MLflow", "file:///tmp/mlruns", "sqlite:///"]),
    "folder for MLflow": (["--tracking-uri", "mlruns"], ["MLflow", "mlruns", "sqlite:///"]),
    "unknown store for MLflow": (["--tracking-uri", "ftp://server"], ["MLflow", "ftp://server"]),
    "storage that is no URL": (["--storage", "tuner.db"], ["no database URL", "tuner.db", "sqlite:///"]),
    "storage of an unknown kind": (["--storage", "oracel://server/x"], ["oracel"]),
    "storage in no folder": (["--storage", "sqlite:///gone/tuner.db"], ["folder", "gone"]),
    "storage that is a folder": (["--storage", "sqlite:///."], ["is a folder", "."]),
    "unreachable database": (
        ["--storage", "postgresql+psycopg://me:secret@localhost:1/x"],
        ["cannot be used", "localhost:1/x", "refused"],
    ),
    "driver that is missing": (
        ["--storage", "mysql+pymysql://localhost:1/x"],
        ["driver", "mysql+pymysql://", "pymysql"],
    ),
    "--set without a value": (["--set", "epochs"], ["KEY=VALUE", "epochs"]),
    "--set of an unknown field": (["--set", "epoch=3"], ["epoch", "'epochs'"]),
    "--set of a nested field": (["--set", "data.limits=3"], ["data.limits", "'data.limit'"]),
    "--set of another type": (["--set", "epochs=many"], ["epochs", "whole number", "many"]),
    "--set of a fraction": (["--set", "folds=2.5"], ["folds", "whole number", "2.5"]),
    "--set standardize": (["--set", "standardize=perhaps"], ["standardize", "true or false", "perhaps"]),
    "--set epochs=0": (["--set", "epochs=0"], ["epochs", "at least 1", "0"]),
    "--set epochs=-3": (["--set", "epochs=-3"], ["epochs", "at least 1", "-3"]),
    "--set folds=1": (["--set", "folds=1"], ["folds", "at least 2", "1"]),
    "--set test_fraction=1": (["--set", "test_fraction=1"], ["test_fraction", "between 0 and 1", "1.0"]),
    "--set test_fraction=nan": (["--set", "test_fraction=nan"], ["test_fraction", "between 0 and 1", "nan"]),
    "--set data.limit=0": (["--set", "data.limit=0"], ["limit", "0", "150"]),
    "--set data.limit too large": (["--set", "data.limit=151"], ["limit", "151", "150"]),
    "--set metric": (["--set", "metric=acuracy"], ["acuracy", "'accuracy'"]),
    "--set pruner": (["--set", "pruner=nnone"], ["pruner", "nnone", "'none'"]),
    "--set sampler": (["--set", "sampler=rnadom"], ["sampler", "rnadom", "'random'"]),
    "--set split_seed": (["--set", "split_seed=-1"], ["split_seed", "-1"]),
}


@pytest.mark.parametrize(("options", "parts"), WRONG_OPTIONS.values(), ids=WRONG_OPTIONS)
def test_a_wrong_option_is_refused(options, parts, folder, capsys):
    write(folder)
    error = refused(capsys, folder, "run", "flowers.py", *options)
    says(error, *parts)
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["rnu", "flowers.py"], ["rnu", "--help"]),
        (["run"], ["EXPERIMENT"]),
        (["resume", "flowers"], ["no study", "flowers", "tuner.db"]),
        (["show", "flowers"], ["no study", "flowers", "tuner.db"]),
        (["show", "flowers", "--storage", "sqlite:///gone/x.db"], ["folder", "gone"]),
        (["studies", "--storage", "tuner.db"], ["no database URL", "tuner.db"]),
        (["resume", "flowers", "--trials", "-1"], ["--trials", "-1"]),
    ],
    ids=str,
)
def test_a_wrong_command_is_refused(words, parts, folder, capsys):
    says(refused(capsys, folder, *words), *parts)


def test_no_command_shows_the_help(capsys):
    code, out, err = call(capsys)
    assert (code, out) == (2, "")
    assert err.startswith("Usage: tuner")


def test_the_ui_refuses_a_folder_too(folder, capsys):
    code, out, err = call(capsys, "ui", "--tracking-uri", "file:///tmp/mlruns")
    assert (code, out) == (2, "")
    assert err.startswith("error: MLflow no longer writes to a folder of files: file:///tmp/mlruns\n")


@pytest.fixture
def database(folder):
    """A database that holds the studies ``herbs`` and ``trees``, of other programs than tuner."""
    storage = optuna.storages.RDBStorage("sqlite:///tuner.db")
    for name in ("herbs", "trees"):
        optuna.create_study(study_name=name, storage=storage)
    storage.engine.dispose()
    return folder / "tuner.db"


@pytest.mark.parametrize("command", ["resume", "show"])
def test_a_study_that_does_not_exist_names_those_that_do(command, database, folder, capsys):
    says(refused(capsys, folder, command, "tree"), "no study of this name", "tree", "herbs, trees")
    says(refused(capsys, folder, command, "flowers"), "no study of this name", "flowers", "herbs, trees")


def test_a_study_of_something_else_is_not_touched(database, folder, capsys):
    write(folder)
    says(
        refused(capsys, folder, "run", "flowers.py", "--study", "trees"),
        "belongs to something else",
        "trees",
        "--study",
    )
    says(refused(capsys, folder, "resume", "trees"), "not made by tuner", "trees")


def test_a_study_of_another_experiment_is_not_touched(database, folder, capsys):
    write(folder)
    experiment, source = load_experiment("flowers.py")
    memory = memory_of(
        experiment.replace(name="bushes"),
        source,
        settings=[],
        seed=0,
        parallel_trials=1,
        tracking_uri=None,
        fingerprint=fingerprint(experiment, source, ""),
        deterministic=False,
    )
    study = optuna.load_study(study_name="trees", storage="sqlite:///tuner.db")
    save_memory(study, memory)
    study._storage._backend.engine.dispose()
    says(refused(capsys, folder, "run", "flowers.py", "--study", "trees"), "'bushes'", "trees", "--study")


@pytest.mark.parametrize("query", ["mode=ro&uri=true", "immutable=1&uri=true"])
def test_a_database_that_may_not_be_written_is_refused(query, database, folder, capsys):
    write(folder)
    url = f"sqlite:///file:{database}?{query}"
    says(refused(capsys, folder, "run", "flowers.py", "--storage", url), "cannot be used", "readonly", str(database))


def test_a_file_that_is_no_database_is_refused(folder, capsys):
    write(folder)
    (folder / "tuner.db").write_text("no database " * 100)
    says(refused(capsys, folder, "run", "flowers.py"), "cannot be used", "not a database", "tuner.db")


def test_a_database_of_a_newer_optuna_is_refused(database, folder, capsys):
    write(folder)
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v9.0.0.a'")
    for words in (["run", "flowers.py"], ["show", "trees"], ["studies"]):
        says(refused(capsys, folder, *words), "Optuna schema", "tuner.db", "Optuna")


def test_check_says_what_it_found(folder, capsys):
    write(
        folder,
        model="models.MLP",
        hidden="[Width(trial.suggest_int('size', 3, 9), cap=16)]",
        batch="trial.suggest_categorical('batch', [8, 16])",
        fields="folds=4",
    )
    before = listing(folder)
    code, out, err = call(capsys, "check", "flowers.py", "--json", "--set", "test_fraction=0.5")
    assert (code, err, listing(folder)) == (0, "", before)
    found = json.loads(out)
    assert found["rows"] == {"training": [56, 56, 56, 57], "validation": [19, 19, 19, 18], "test": 75}
    assert (found["task"], found["input_shape"], found["outputs"]) == ("classification", [4], 3)
    assert found["labels"] == ["0", "1", "2"]
    assert found["search_space"] == {
        "size": {"low": 3, "high": 9, "scale": "linear", "kind": "elastic"},
        "batch": {"choices": [8, 16], "scale": "categorical", "kind": "static"},
    }
    # 4 x size + size for the hidden layer, 3 x size + 3 for the output
    assert (found["footprint"]["least_parameters"], found["footprint"]["most_parameters"]) == (27, 75)
    assert 3 * (8 * 16 + 3) * 4 < found["footprint"]["lane_bytes"] < 3 * (8 * 16 + 3) * 4 + 200
    assert found["programs"] == {"least": 2, "most": 6}  # two batch sizes, caps 4, 8 and 16
    assert (found["static"], found["reads_all"], found["notes"], found["failure"]) == ([], False, [], None)
    code, out, _ = call(capsys, "check", "flowers.py")
    assert code == 0
    assert "2 to 6, as compiling and masks cost, whatever the number of trials" in out
    assert "note:" not in out
    assert re.search(r"^  size +3 to 9 +linear +elastic$", out, re.MULTILINE)
    assert re.search(r"^  batch +8, 16 +categorical +static$", out, re.MULTILINE)
    assert "27 to 75 parameters" in out


def test_check_says_what_it_cannot_see(folder, capsys):
    write(folder, model="lambda values, *rest: build()(dict(**values), *rest)", more="droput=0.1")
    code, out, _ = call(capsys, "check", "flowers.py")
    assert code == 0
    assert "reads all hyperparameters at once" in out
    write(folder, model="broken")
    code, out, _ = call(capsys, "check", "flowers.py")
    assert code == 0
    assert "every trial will fail: RuntimeError: no model of 4 units today" in out


def test_what_the_users_code_prints_stays_out_of_the_json(folder, capsys):
    write(folder, more="**(print('drawn') or {})")
    code, out, err = call(capsys, "check", "flowers.py", "--json")
    assert code == 0
    assert json.loads(out)["experiment"] == "flowers"
    assert "drawn" in err


def test_no_studies(folder, capsys):
    assert call(capsys, "studies") == (0, "no studies in sqlite:///tuner.db\n", "")
    assert call(capsys, "studies", "--json") == (0, '{"studies": []}\n', "")
    assert listing(folder) == {}


@pytest.mark.parametrize(
    ("changes", "words", "said"),
    [
        (
            {"rate": "-0.1"},
            ["run", "flowers.py", "--trials", "2"],
            "error: the hyperparameter 'learning_rate' must be a number above 0: -0.1\n  Change the search space.\n",
        ),
        ({}, ["resume", "flowers"], "error: there is no study of this name: flowers\n  There is no study in "),
    ],
    ids=["run", "resume"],
)
def test_a_process_says_the_same_and_nothing_else(changes, words, said, folder):
    write(folder, **changes)
    before = listing(folder)
    done = subprocess.run([TUNER, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 2
    assert listing(folder) == before


HEAVY = ("flax", "jax", "mlflow", "numpy", "optuna", "pandas", "pydantic", "sklearn", "sqlalchemy", "tuner.study")


def test_help_is_quick_and_imports_nothing_heavy(folder):
    code = (
        "import sys, tuner.cli\n"
        "try: tuner.cli.main(['run', '--help'])\n"
        f"finally: print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("Usage: tuner run")
    assert shown.stderr == "[]\n"
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([TUNER, "--help"], capture_output=True, check=True)
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.5


@pytest.mark.parametrize(
    ("words", "completed"), [("tuner res", "resume"), ("tuner run --che", "--checkpoint-every --checkpoint-dir")]
)
def test_the_shell_completes_commands_and_options(words, completed):
    script = subprocess.run([TUNER, "completion", "bash"], capture_output=True, text=True, check=True).stdout
    asked = f"COMP_WORDS=({words}); COMP_CWORD={words.count(' ')}; _tuner_completion {TUNER}"
    code = f'{script}\n{asked}; echo "${{COMPREPLY[@]}}"'
    said = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == f"{completed}\n"


def test_the_version_is_that_of_the_package():
    said = subprocess.run([TUNER, "--version"], capture_output=True, text=True, check=True).stdout
    assert said == f"tuner, version {version('tuner')}\n"
