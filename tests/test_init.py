"""`tuner init`: a project that runs as it is, and experiments that fit tables."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tuner import cli, models
from tuner.experiment import arrays_of, load_experiment

TUNER = Path(sys.executable).with_name("tuner")


def tuner(folder, *words):
    done = subprocess.run([TUNER, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys, *words, code=0):
    with pytest.raises(SystemExit) as left:
        cli.main(["init", *words])
    out, err = capsys.readouterr()
    assert left.value.code == code, err
    return out if code == 0 else err


def files_in(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def table(rows, seed=0):
    rng = np.random.default_rng(seed)
    size, colour = rng.normal(size=rows), rng.choice(["red", "green", "blue"], rows)
    frame = pd.DataFrame({"size": np.where(rng.random(rows) < 0.1, np.nan, size), "colour": colour})
    price = 3 * size + (colour == "red") + 0.1 * rng.normal(size=rows)
    return frame.assign(price=price, kind=np.where(price > 0, "dear", "cheap"))


def test_the_first_project_runs_as_it_is(tmp_path):
    listed = tuner(tmp_path, "init", "my")
    project = tmp_path / "my"
    assert files_in(project) == {
        ".gitignore", "README.md", "data/wines.csv", "experiments/first.py", "model.py", "pyproject.toml",
        "search_spaces/first.py",
    }  # fmt: skip
    assert all(file in listed for file in files_in(project))
    assert len([line for line in (project / "model.py").read_text().splitlines() if line.strip()]) <= 20
    command = listed.splitlines()[-1].split()
    assert command[:2] == ["tuner", "run"]
    result = json.loads(tuner(project, *command[1:], "--json"))
    assert result["trials"] == {"complete": result["trials"]["complete"], "pruned": 10 - result["trials"]["complete"],
                                "failed": 0, "running": 0, "waiting": 0}  # fmt: skip
    assert result["best"]["value"] > 0.85
    if git := shutil.which("git"):
        subprocess.run([git, "init", "-q"], cwd=project, check=True)
        seen = subprocess.run([git, "status", "--short"], cwd=project, capture_output=True, text=True, check=True)
        assert {line[3:] for line in seen.stdout.splitlines()} == {
            ".gitignore", "README.md", "data/", "experiments/", "model.py", "pyproject.toml", "search_spaces/",
        }  # fmt: skip


@pytest.mark.parametrize("name", ["sales of '24.csv", "sales.parquet"])
@pytest.mark.parametrize(
    ("target", "task", "metric"), [("kind", "classification", "accuracy"), ("price", "regression", "rmse")]
)
def test_an_experiment_that_fits_a_table(here, capsys, name, target, task, metric):
    frame = table(120)
    frame.to_parquet(here / name) if name.endswith("t") else frame.to_csv(here / name, index=False)
    printed = said(capsys, "my", "--from", name, "--target", target)
    (file,) = (here / "my" / "experiments").glob("*.py")
    assert f"a {task}: 120 rows" in printed
    os.chdir(here / "my")  # it finds its table from anywhere
    experiment, _ = load_experiment(str(file))
    arrays = arrays_of(experiment)
    assert (arrays.spec.task, experiment.metric, len(arrays.folds)) == (task, metric, 5)
    assert arrays.prepared.missing > 0
    assert experiment.model is models.MLP


@pytest.mark.parametrize(
    ("rows", "batches", "layers"), [(200, [16, 32], 1), (2_000, [32, 64], 2), (12_000, [128, 256], 2)]
)
def test_what_is_searched_follows_the_size(here, capsys, rows, batches, layers):
    table(rows).to_csv(here / "t.csv", index=False)
    said(capsys, "--from", "t.csv", "--target", "price")
    text = (here / "experiments" / "t.py").read_text()
    assert str(batches) in text
    assert ("range(2)" in text) == (layers == 2)


def test_fewer_folds_where_a_class_is_small(here, capsys):
    frame = table(100)
    frame.loc[:3, "kind"] = "odd"
    frame.to_csv(here / "t.csv", index=False)
    said(capsys, "--from", "t.csv", "--target", "kind")
    experiment, _ = load_experiment("experiments/t.py")
    assert len(arrays_of(experiment).folds) == 3


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--from", "t.csv"), "go together"),
        (("--target", "kind"), "go together"),
        (("--from", "none.csv", "--target", "kind"), "none.csv"),
        (("--from", "t.csv", "--target", "knid"), "kind"),
        (("--from", "t.csv", "--target", "rare"), "too few rows"),
        (("--from", "t.csv", "--target", "one"), "single class"),
        (("t.csv",), "t.csv"),
        (("t.csv/my",), "t.csv"),
        (("--from", "t.csv", "--target", "kind", "t.csv"), "t.csv"),
    ],
)
def test_a_refusal_writes_nothing(here, capsys, words, expected):
    frame = table(60).assign(rare="usual", one="same")
    frame.loc[0, "rare"] = "single"
    frame.to_csv(here / "t.csv", index=False)
    assert expected in said(capsys, *words, code=2)
    assert [path.name for path in here.rglob("*")] == ["t.csv"]


@pytest.mark.parametrize("words", [(), ("--from", "data/first.csv", "--target", "kind")])
def test_files_that_are_there_are_kept(here, capsys, words):
    for folder in ("experiments", "data"):
        (here / folder).mkdir()
    (here / "experiments" / "first.py").write_text("mine")
    table(60).to_csv(here / "data" / "first.csv", index=False)
    assert "first.py" in said(capsys, *words, code=2)
    assert files_in(here) == {"experiments/first.py", "data/first.csv"}
    assert (here / "experiments" / "first.py").read_text() == "mine"
