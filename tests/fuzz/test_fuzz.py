"""Whatever is given: success, or exit code 2 with one message; never a traceback, never a half-written study."""

import contextlib
import inspect
import io
import json
import os
import re
import sqlite3

import optuna
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.study.conftest import iris_space
from tuner import Experiment, InputError, datasets, models
from tuner.cli import _exit_code
from tuner.experiment import arrays_of, load_experiment
from tuner.study import Options, run_study

LONG = bool(os.environ.get("TUNER_FUZZ"))
CASES = 400 if LONG else 40  # of each of the six kinds
fuzzed = settings(
    max_examples=CASES,
    deadline=None,
    database=None,
    derandomize=not LONG,
    suppress_health_check=list(HealthCheck),
)

SOURCE = f'''"""An experiment."""

from search_spaces.mlp import one_layer
from tuner import Experiment, Width, datasets, models


{inspect.getsource(iris_space)}

experiment = Experiment(
    name="fuzz", data=datasets.iris, model=models.MLP, search_space=iris_space, metric="accuracy", folds=3, epochs=2
)
'''
TOKENS = re.findall(r"\w+|\s+|[^\w\s]", SOURCE)
JUNK = st.one_of(
    st.sampled_from(
        ["None", "-1", "0", "1e400", "nan", "[]", "{}", "''", "True", "lambda: 0", "...", "é", "\x00", "\n"]
    ),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=8),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def outcome(*words):
    """The exit code of a command and what it said."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = _exit_code([str(word) for word in words], as_json=False)
    return code, err.getvalue()


def is_told(*words):
    code, said = outcome(*words)
    assert code in {0, 2}, said
    assert "Traceback" not in said
    if code == 2:
        assert said.startswith("error: ") or "Error: " in said, said
    return code


@st.composite
def sources(draw):
    tokens = list(TOKENS)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(tokens) - 1))
        match draw(st.sampled_from(["drop", "swap", "junk", "twice"])):
            case "drop":
                del tokens[place]
            case "swap":
                other = draw(st.integers(0, len(tokens) - 1))
                tokens[place], tokens[other] = tokens[other], tokens[place]
            case "junk":
                tokens[place] = draw(JUNK)
            case "twice":
                tokens.insert(place, tokens[place])
    return "".join(tokens)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@fuzzed
@seed(0)
@given(source=sources())
def test_experiment_files(folder, source):
    file = folder / "experiment.py"
    file.write_bytes(source.encode("utf-8", "surrogatepass"))
    is_told("check", file)


FIELDS = ["epochs", "folds", "data.limit", "data.rows_at_once", "test_fraction", "split_seed", "sampler", "pruner"]
FIELDS += ["metric", "metrics", "standardize", "name", "model", "search_space", "data", "init_from", "", "="]


@fuzzed
@seed(0)
@given(
    pairs=st.lists(st.tuples(st.sampled_from(FIELDS) | st.text(max_size=10), JUNK), min_size=1, max_size=3),
    equals=st.booleans(),
)
def test_settings(folder, pairs, equals):
    file = folder / "valid.py"
    file.write_text(SOURCE)
    words = [word for name, value in pairs for word in ("--set", f"{name}={value}" if equals or value else name)]
    is_told("check", file, *words)


CELLS = st.one_of(
    st.integers(-5, 5).map(str),
    st.floats().map(str),
    st.sampled_from(["", "a", "b", "NA", "nan", "1e999", '"', "'", "1,5", "2020-01-01", "True", " "]),
    st.text(max_size=4),
)


@fuzzed
@seed(0)
@given(
    rows=st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=12),
    raw=st.none() | st.binary(max_size=200),
    header=st.sampled_from(["x,y", "y", "x,y,z", "x,x,y", "", "y,y", "\ufeffx,y"]),
    task=st.sampled_from([None, "classification", "regression", "other"]),
)
def test_csv_files(folder, rows, raw, header, task):
    file = folder / "data.csv"
    text = "\n".join([header, *(",".join(cells) for cells in rows)])
    file.write_bytes(text.encode("utf-8", "surrogatepass") if raw is None else raw)
    options = {} if task is None else {"task": task}
    with contextlib.suppress(InputError):
        data = datasets.csv(str(file), target="y", **options)
        experiment = Experiment(name="csv", data=data, model=models.MLP, search_space=iris_space, folds=2)
        arrays_of(experiment)


URLS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(
            ["sqlite://", "sqlite:///", "sqlite:////", "postgresql://", "mysql://", "http://", "file:", ""]
        ),
        st.text(max_size=12),
        st.sampled_from(["", ":", "@", "/", "?", "#", "%", ":99999", "@host:port/x"]),
        st.text(max_size=6),
    ),
)


@fuzzed
@seed(0)
@given(storage=URLS, tracking=URLS)
def test_urls(storage, tracking):
    with contextlib.suppress(InputError):
        Options(storage=storage, tracking_uri=tracking).check()


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    folder = tmp_path_factory.mktemp("database")
    (folder / "valid.py").write_text(SOURCE)
    url = f"sqlite:///{folder}/tuner.db"
    options = Options(trials=2, storage=url, tracking_uri=None)
    run_study(*load_experiment(str(folder / "valid.py")), ["sampler=random", "pruner=none"], "fuzz", options)
    study = optuna.load_study(study_name="fuzz", storage=url)
    for state in ("PRUNED", "FAIL"):
        attributes = {"tuner:reason": "lost", "tuner:history": study.trials[0].user_attrs["tuner:history"]}
        study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState[state], user_attrs=attributes))
    return url


COMMANDS = [["show", "fuzz"], ["studies"], ["show", "fuzz", "--json"], ["resume", "fuzz", "--trials", "4"]]
NAMES = ["tuner:study", "tuner:best", "tuner:cost", "tuner:cost_total"]


@fuzzed
@seed(0)
@given(name=st.sampled_from(NAMES), field=st.none() | st.integers(0, 20), value=JSON)
def test_stored_attributes(database, name, field, value):
    study = optuna.load_study(study_name="fuzz", storage=database)
    before = study.user_attrs
    if field is not None and isinstance(before[name], dict) and before[name]:
        value = before[name] | {list(before[name])[field % len(before[name])]: value}
    study.set_user_attr(name, value)
    try:
        for words in COMMANDS:
            is_told(*words, "--storage", database)
    finally:
        for each, kept in before.items():
            study.set_user_attr(each, kept)
    assert json.dumps(study.user_attrs) == json.dumps(before)
    assert len(study.get_trials()) == 4


TRIAL_NAMES = ["tuner:history", "tuner:placement", "tuner:resolved", "tuner:reason", "tuner:seat"]


@contextlib.contextmanager
def written(database, table, where, text):
    """A database where somebody changed a value behind everybody's back, until the block ends."""
    file = database.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(file)) as connection:
        before = connection.execute(f"SELECT value_json FROM {table} WHERE {where}").fetchall()
        connection.execute(f"UPDATE {table} SET value_json = ? WHERE {where}", (text,))
        connection.commit()
        try:
            yield
            found = connection.execute(f"SELECT value_json FROM {table} WHERE {where}").fetchall()
            assert found == [(text,)] * len(before)
        finally:
            connection.execute(f"UPDATE {table} SET value_json = ? WHERE {where}", before[0])
            connection.commit()


def inside(value, place, junk):
    """A value with junk somewhere in it: ``place`` says where, level by level."""
    if not place or not isinstance(value, dict | list) or not value:
        return junk
    key = (list(value) if isinstance(value, dict) else range(len(value)))[place[0] % len(value)]
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[key] = inside(value[key], place[1:], junk)
    return changed


@fuzzed
@seed(0)
@given(
    number=st.integers(0, 3),
    name=st.sampled_from(TRIAL_NAMES),
    place=st.lists(st.integers(0, 20), max_size=4),
    value=JSON | st.floats(),
)
def test_attributes_of_trials(database, number, name, place, value):
    study = optuna.load_study(study_name="fuzz", storage=database)
    trial = study.get_trials()[number]
    attributes = trial.user_attrs
    where = f"trial_id = {trial._trial_id} AND key = '{name}'"
    if name not in attributes:
        return
    text = json.dumps(inside(attributes[name], place, value))
    with written(database, "trial_user_attributes", where, text):
        for words in COMMANDS:
            assert is_told(*words, "--storage", database) == 0
    assert [(t.state, t.value) for t in study.get_trials()][:2] == [(t.state, t.value) for t in study.trials][:2]


@pytest.mark.parametrize("text", ["", "{", "nonsense", "[1,"])
@pytest.mark.parametrize(
    ("table", "where"),
    [
        ("trial_user_attributes", "trial_id = 1 AND key = 'tuner:history'"),
        ("trial_user_attributes", "trial_id = 3 AND key = 'tuner:reason'"),
        ("study_user_attributes", "key = 'tuner:cost'"),
        ("study_user_attributes", "key = 'tuner:study'"),
    ],
)
def test_attributes_that_are_no_json(database, table, where, text):
    with written(database, table, where, text):
        for words in COMMANDS:
            assert is_told(*words, "--storage", database) == 2
