"""No strangers: who listens, who sees a password, what is unpickled, and where names lead."""

import contextlib
import os
import pickle
import re
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import optuna
import psutil
import pytest
import sqlalchemy

import tuner
from tests.cluster.conftest import EXPERIMENT
from tests.fuzz.test_fuzz import outcome
from tests.helpers import Evil, command_lines, listening
from tests.study.conftest import PASSWORD, SECRET, iris_experiment
from tests.tracking.helpers import until
from tuner import InputError
from tuner.study import Options
from tuner.study.record import STUDY, StudyMemory
from tuner.study.stored import save_memory
from tuner.tracking.client import connect

TUNER = Path(sys.executable).with_name("tuner")


def address(url, password=None):
    return url.set(password=password).render_as_string(hide_password=False)


def started(folder, *words, **variables):
    with (folder / "said").open("wb") as said:
        return subprocess.Popen([TUNER, *words], cwd=folder, env=os.environ | variables, stdout=said, stderr=said)


def rows(url):
    """All that a database holds, as text."""
    engine = sqlalchemy.create_engine(address(url, PASSWORD))
    tables = sqlalchemy.MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        found = [str(connection.execute(table.select()).all()) for table in tables.sorted_tables]
    engine.dispose()
    return "\n".join(found)


def written(folder):
    """All files of a folder, by name."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_study_shows_its_passwords_to_nobody_and_listens_to_nobody(guarded, tmp_path):
    (tmp_path / "iris.py").write_text(EXPERIMENT)
    storage, tracking = (address(url, PASSWORD) for url in guarded)
    private = {"TUNER_STORAGE": storage, "TUNER_TRACKING_URI": tracking, "XDG_STATE_HOME": str(tmp_path / "state")}
    words = ["iris.py", "--trials", "4", "--set", "epochs=60", "--checkpoint-every", "0.1"]
    process = started(tmp_path, "run", *words, **private)
    looks, seen = 0, {}
    while process.poll() is None:
        assert not [line for line in command_lines() if SECRET.encode() in line]
        with contextlib.suppress(psutil.NoSuchProcess):
            assert list(listening(process)) == []
        with contextlib.suppress(FileNotFoundError):  # a checkpoint that has just been replaced
            seen |= written(tmp_path)
        looks += 1
        time.sleep(0.2)
    files = seen | written(tmp_path)
    assert process.returncode == 0, files["said"].decode()
    assert looks > 10
    assert b"4 complete" in files["said"]
    assert {"study.json", "confusion_matrix.png"} <= {Path(name).name for name in files}
    assert not [name for name, content in files.items() if SECRET.encode() in content]
    for url in guarded:
        held = rows(url)
        assert "learning_rate" in held
        assert SECRET not in held


def escaped(password):
    return password.replace("\\", "\\\\").replace(":", "\\:")


def by_passfile(folder, storage):
    (folder / "passwords").write_text(f"*:*:*:guest:{escaped(PASSWORD)}\n")
    (folder / "passwords").chmod(0o600)
    return {"PGPASSFILE": str(folder / "passwords"), "TUNER_STORAGE": address(storage)}


def by_pgpass(folder, storage):
    (folder / ".pgpass").write_text(f"*:*:{storage.database}:guest:{escaped(PASSWORD)}\n")
    (folder / ".pgpass").chmod(0o600)
    return {"HOME": str(folder), "TUNER_STORAGE": address(storage)}


def by_variable(folder, storage):
    return {"PGPASSWORD": PASSWORD, "TUNER_STORAGE": address(storage)}


def by_url(folder, storage):
    return {"TUNER_STORAGE": address(storage, PASSWORD)}


@pytest.mark.parametrize("way", [by_passfile, by_pgpass, by_variable, by_url])
def test_a_password_comes_from_where_postgresql_looks_for_it(guarded, tmp_path, monkeypatch, way):
    for name, value in way(tmp_path, guarded[0]).items():
        monkeypatch.setenv(name, value)
    assert outcome("studies") == (0, "")


def test_mlflow_s_database_takes_it_from_there_too(guarded, tmp_path, monkeypatch):
    monkeypatch.setenv("PGPASSFILE", by_passfile(tmp_path, guarded[1])["PGPASSFILE"])
    assert connect(address(guarded[1])).search_experiments()


@pytest.mark.parametrize(
    ("password", "reason"), [(None, "no password supplied"), (f"{SECRET} is another", "authentication failed")]
)
def test_a_refused_password_is_not_repeated(guarded, password, reason):
    code, said = outcome("studies", "--storage", address(guarded[0], password))
    assert code == 2
    assert reason in said
    assert SECRET not in said


def test_the_ui_listens_to_this_machine_alone_and_shows_no_password(guarded, tmp_path):
    process = started(tmp_path, "ui", "--port", "0", "--tracking-uri", address(guarded[1], PASSWORD))
    try:
        until(lambda: "Ctrl-C ends it" in (tmp_path / "said").read_text(), seconds=60)
        said = (tmp_path / "said").read_text()
        assert {f"http://{ip}:{port}" for ip, port in listening(process)} == {said.split("MLflow: ")[1].split()[0]}
        assert "http://127.0.0.1:" in said
        assert not [line for line in command_lines() if SECRET.encode() in line]
        assert SECRET not in said
    finally:
        process.terminate()
        assert process.wait(30) == 0


def two_floats(trial):
    rate, dropout = trial.suggest_float("learning_rate", 1e-3, 1e-1, log=True), trial.suggest_float("dropout", 0.0, 0.5)
    return {"hidden": [8], "batch_size": 32, "learning_rate": rate, "dropout": dropout}


def test_nothing_that_the_database_holds_is_unpickled(storage, tmp_path, unpickled):
    how = {"storage": storage, "tracking_uri": None}
    experiment = iris_experiment(sampler="cmaes", epochs=1, search_space=two_floats)
    tuner.run(experiment, trials=30, **how).study._storage.close()
    evil = f'"{pickle.dumps(Evil(tmp_path / "made")).hex()}"'
    with contextlib.closing(sqlite3.connect(tmp_path / "tuner.db")) as database, database:
        planted = database.execute("UPDATE trial_system_attributes SET value_json = ? WHERE key LIKE 'cma:%'", (evil,))
        assert planted.rowcount > 3
        database.execute("UPDATE trial_user_attributes SET value_json = ?", (evil,))
        database.execute("UPDATE study_user_attributes SET value_json = ? WHERE key != ?", (evil, STUDY))
        database.execute("INSERT INTO study_system_attributes VALUES (99, 1, 'cma:optimizer:0', ?)", (evil,))
    assert tuner.run(experiment, trials=40, **how).trials["complete"] == 40
    assert unpickled == []
    assert not (tmp_path / "made").exists()


NAMES = ["../../x", "/nowhere/x", "~/x"]


def test_names_lead_out_of_no_folder(guarded, tmp_path, monkeypatch):
    folder = tmp_path / "deep" / "in"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    for name in NAMES:
        experiment = iris_experiment(name=name, epochs=1)
        where = {"storage": f"sqlite:///{folder}/tuner.db", "tracking_uri": address(guarded[1], PASSWORD)}
        result = tuner.run(experiment, trials=1, **where)
        assert (result.study.study_name, result.trials["complete"]) == (name, 1)
        assert result.best.mlflow_run_id
        result.study._storage.close()
    pictures = {name for name in written(tmp_path) if not name.startswith("deep/in/tuner.db")}
    assert len([name for name in pictures if name.endswith("/study.html")]) == len(NAMES)
    assert all(re.fullmatch(r"deep/in/mlruns/\d+/[0-9a-f]{32}/artifacts/[a-z_]+.(png|html)", n) for n in pictures)
    assert not any(Path(name).expanduser().exists() for name in NAMES)


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("key", "../../victim", "key is none that tuner gives"),
        ("key", "/victim", "key is none that tuner gives"),
        ("key", "", "key is none that tuner gives"),
        ("relative", "../../x.py", "experiment file is not in its project"),
        ("relative", "/x.py", "experiment file is not in its project"),
    ],
)
def test_names_that_somebody_wrote_lead_out_of_none_either(storage, tmp_path, monkeypatch, field, value, what):
    monkeypatch.setenv("TUNER_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "victim").mkdir()
    study = optuna.create_study(study_name="iris", storage=storage)
    memory = StudyMemory("iris", "accuracy", None, None, "experiment", [], 0, 1, None, {}, key="0" * 32)
    save_memory(study, memory)
    assert outcome("show", "iris", "--storage", storage)[0] == 0
    save_memory(study, replace(memory, **{field: value}))
    for words in (["show", "iris"], ["resume", "iris"], ["sync", "iris"]):
        code, said = outcome(*words, "--storage", storage)
        assert code == 2
        assert what in said
    with pytest.raises(InputError, match=what):
        tuner.TrialWeights("iris", storage)()
    assert sorted(path.name for path in tmp_path.iterdir() if "tuner.db" not in path.name) == ["victim"]


def test_options_show_no_password():
    shown = repr(Options(storage=f"postgresql://me:{SECRET}@host/db", tracking_uri=f"http://me:{SECRET}@host"))
    assert "trials=100" in shown
    assert SECRET not in shown
    assert SECRET not in repr(tuner.TrialWeights("study", f"postgresql://me:{SECRET}@host/db"))


@pytest.mark.parametrize("name", ["a\nb", "a\0b", "\x1b[31mred", "\ud800", "a\u202eb", "", "x" * 501, 3])
def test_a_name_that_cannot_be_shown_or_stored_is_refused(storage, tmp_path, name):
    with pytest.raises(InputError, match="name"):
        iris_experiment(name=name)
    with pytest.raises(InputError, match="name"):
        tuner.run(iris_experiment(), study=name, storage=storage, tracking_uri=None)
    assert list(tmp_path.iterdir()) == []
