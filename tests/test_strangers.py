"""Who is not meant to, does not get in: what listens, passwords in files, names that lead elsewhere, pickled data."""

import ast
import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import sqlalchemy

import tuner
from benchmarks.servers import Postgres
from tests.study.conftest import iris_experiment
from tests.tracking.helpers import until
from tuner import InputError, datasets
from tuner.study import Interrupted, Options
from tuner.study.checkpoints import newest_in
from tuner.study.checkpoints.files import CHECKSUMS
from tuner.study.run import run_study
from tuner.tracking import MemorySink

ROOT = Path(__file__).parents[1]
LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
SECRET = "q7-of-nobody"


def start(folder, *words, **environment):
    command = [sys.executable, "-m", "tuner.cli", *words]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def listening(process):
    for each in [process, *process.children(recursive=True)]:
        yield from (found.laddr.ip for found in each.net_connections("inet") if found.status == psutil.CONN_LISTEN)


@pytest.mark.parametrize(("words", "open_to_all"), [((), False), (("--host", "0.0.0.0"), True)])
def test_the_ui_listens_to_this_machine_alone_unless_told_otherwise_and_says_so(tmp_path, words, open_to_all):
    browser = f'{sys.executable} -c \'import sys; open("seen", "w").write(sys.argv[1])\' %s'
    process = start(tmp_path, "ui", "--port", "0", "--open", *words, BROWSER=browser)
    said, seen = [], tmp_path / "seen"
    for line in process.stderr:
        said.append(line)
        if "http://" in line:
            break
    found = set(listening(psutil.Process(process.pid)))
    until(lambda: seen.exists() and seen.read_text())
    assert f"MLflow: {seen.read_text()} (" in said[-1]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert found
    assert (found <= LOOPBACK) is not open_to_all
    assert any("whoever reaches it" in line for line in said) is open_to_all


@pytest.fixture
def guarded(tmp_path):
    """A PostgreSQL that asks a user of it for a password: its URL without one, and the file that has it."""
    server = Postgres(tmp_path / "postgres")
    engine = sqlalchemy.create_engine(server.url, isolation_level="AUTOCOMMIT")
    rules = Path(sqlalchemy.make_url(server.url).query["host"]) / "pg_hba.conf"
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"create role someone login superuser password '{SECRET}'"))
        rules.write_text(f"local all someone scram-sha-256\n{rules.read_text()}")
        connection.execute(sqlalchemy.text("select pg_reload_conf()"))
    engine.dispose()
    passwords = tmp_path / "passwords"
    passwords.write_text(f"*:*:*:someone:{SECRET}\n")
    passwords.chmod(0o600)
    yield server.url.replace("//postgres:@", "//someone@"), passwords
    server.close()


EXPERIMENT = """
from tests.study.conftest import iris_experiment
experiment = iris_experiment(epochs=2)
"""


def test_a_password_comes_from_its_file_and_stays_there(guarded, tmp_path):
    url, passwords = guarded
    project = tmp_path / "project"
    project.mkdir()
    (project / "iris.py").write_text(EXPERIMENT)
    words = ("run", "iris.py", "--trials", "2", "--storage", url, "--tracking-uri", "sqlite:///mlflow.db")
    state = {"XDG_STATE_HOME": str(project / "state")}
    refused = start(project, *words, **state)
    _, err = refused.communicate(timeout=60)
    assert refused.returncode == 2
    assert "no password supplied" in err
    assert err.startswith("error: ")
    process = start(project, *words, PGPASSFILE=str(passwords), **state)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert SECRET not in out + err
    files = [file for file in project.rglob("*") if file.is_file()]
    assert any(file.name == "mlflow.db" for file in files)
    assert not [file for file in files if SECRET.encode() in file.read_bytes()]


@pytest.mark.parametrize("name", ["../../../away", "/away", "a/../../../away", ".."])
def test_no_name_leads_out_of_the_folder(tmp_path, monkeypatch, name):
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    root = {path.name for path in Path("/").iterdir()}
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    tuner.run(
        iris_experiment(name=name, epochs=2, test_fraction=0.2),
        trials=2,
        study=name,
        storage="sqlite:///tuner.db",
        tracking_uri="sqlite:///mlflow.db",
        checkpoint_every=1e-9,
    )
    outside = [path for path in tmp_path.rglob("*") if not path.is_relative_to(folder) and not path.is_dir()]
    assert outside == []
    assert (folder / "tuner.db").exists()
    assert {path.name for path in Path("/").iterdir()} == root


class Evil:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


class Stop(MemorySink):
    def epoch(self, number, epoch, metrics):
        super().epoch(number, epoch, metrics)
        if (number, epoch) == (0, 3):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Orbax leaves what it was reading
def test_nothing_in_a_checkpoint_is_run(tmp_path):
    options = Options(trials=2, storage=f"sqlite:///{tmp_path}/tuner.db", tracking_uri=None)
    with pytest.raises(Interrupted):
        run_study(iris_experiment(epochs=8), None, [], None, options, progress=Stop())
    (worker,) = tmp_path.glob("tuner.db.checkpoints/*/*")
    (checkpoint,) = worker.iterdir()
    assert newest_in(worker) is not None
    originals = {file: file.read_bytes() for file in checkpoint.rglob("*") if file.is_file()}
    sums = json.loads((checkpoint / CHECKSUMS).read_text())
    assert len(sums) > 3
    for file, content in originals.items():
        evil = pickle.dumps(Evil(tmp_path / "made"))
        file.write_bytes(evil)
        if file.name != CHECKSUMS:
            changed = sums | {str(file.relative_to(checkpoint)): hashlib.sha256(evil).hexdigest()}
            (checkpoint / CHECKSUMS).write_text(json.dumps(changed))
        newest_in(worker)
        assert not (tmp_path / "made").exists(), file
        file.write_bytes(content)
        (checkpoint / CHECKSUMS).write_bytes(originals[checkpoint / CHECKSUMS])
    assert newest_in(worker) is not None


def test_no_table_of_objects_is_unpickled(tmp_path):
    objects = np.array([Evil(tmp_path / "made")], dtype=object)
    np.savez(tmp_path / "data.npz", x=objects, y=np.zeros(1))
    with pytest.raises(InputError, match="pickle"):
        datasets.npz(tmp_path / "data.npz")()
    assert not (tmp_path / "made").exists()


def imported(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_nothing_of_ours_can_unpickle():
    files = list((ROOT / "tuner").rglob("*.py"))
    assert len(files) > 100
    unpickle = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
    assert [str(file) for file in files if unpickle & set(imported(file))] == []
    assert [str(file) for file in files if "allow_pickle=True" in file.read_text()] == []
