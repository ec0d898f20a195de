"""What a newcomer does: the experiment file of docs/own-model.md, in a folder of one's own, from the command line."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine

from tests.helpers import PHASES
from tuner import cli

PAGE = Path(__file__).parents[1] / "docs" / "own-model.md"
TUNER = Path(sys.executable).with_name("tuner")


def code():
    """The page's experiment file."""
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return block


def regression():
    """The page's variant of it."""
    variant = re.search(r'^    (data=.*, metric="rmse")$', PAGE.read_text(), re.MULTILINE)[1]
    data, metric = re.search(r"data=.*?\)", code())[0], 'metric="accuracy"'
    new_data, new_metric = variant.split(", metric=")
    return code().replace(data, new_data).replace(metric, f"metric={new_metric}")


@pytest.fixture
def folder(tmp_path):
    """A folder with the page's data: three kinds of wine, and their quality from 3 to 8."""
    table = load_wine(as_frame=True).data
    kinds = np.array(["barolo", "grignolino", "barbera"])[load_wine().target]
    quality = 3 + pd.qcut(table["alcohol"], 6, labels=False)
    table = table.iloc[:, 1:8]
    (tmp_path / "elsewhere").mkdir()
    table.assign(kind=kinds).to_csv(tmp_path / "wines.csv", index=False)
    (tmp_path / "wines.py").write_text(code())
    (tmp_path / "quality").mkdir()
    table.assign(quality=quality).to_csv(tmp_path / "quality" / "wines.csv", index=False)
    (tmp_path / "quality" / "wines.py").write_text(regression())
    return tmp_path


def tuner(folder, *words):
    return subprocess.run([TUNER, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def answer(folder, *words):
    """The JSON that a command prints, and what it says beside it."""
    done = tuner(folder, *words)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout), done.stderr


def test_the_page_is_short():
    assert len([line for line in code().splitlines() if line.strip()]) <= 25
    assert "tuner.nn" not in code()


def answer_here(capsys, *words):
    """The same in this process, which saves the imports."""
    with pytest.raises(SystemExit) as left:
        cli.main(list(words))
    assert left.value.code == 0
    return json.loads(capsys.readouterr().out)


def test_classification(folder, capsys, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(folder / "elsewhere")
    checked = answer_here(capsys, "check", "../wines.py", "--json")
    assert checked["labels"] == ["barbera", "barolo", "grignolino"]
    assert (checked["outputs"], checked["input_shape"]) == (3, [7])
    assert checked["static"] == ["dropout"]
    assert checked["programs"] is None
    (note,) = checked["notes"]
    assert "the value of dropout while it is built" in note
    assert "N trials can need N programs" in note

    result, said = answer(folder / "elsewhere", "run", "../wines.py", "--trials", "3", "--json")
    assert "the value of dropout while it is built" in said
    assert "3 trials can need 3 programs" in said
    assert (result["study"], result["metric"], result["direction"]) == ("wines", "accuracy", "maximize")
    assert result["experiment"].endswith("wines.py")
    assert result["trials"] == {"complete": 1, "pruned": 2, "failed": 0, "running": 0, "waiting": 0}
    best = result["best"]
    assert len(best["fold_values"]) == 3
    assert best["value"] == pytest.approx(np.mean(best["fold_values"]))
    assert best["value"] > 0.8
    assert 1 <= best["best_epoch"] <= 10
    assert list(best["hyperparameters"]) == ["units", "dropout", "learning_rate"]
    assert best["resolved"] == best["hyperparameters"]
    assert re.fullmatch(r"[0-9a-f]{32}", best["mlflow_run_id"])
    cost = result["cost"]
    assert sum(cost[phase] for phase in PHASES) == pytest.approx(cost["wall_seconds"])
    assert 1 <= cost["programs"] <= 3
    assert 0 < cost["occupancy"] <= 1
    assert cost["mask_tax"] == 0
    assert sorted(path.name for path in (folder / "elsewhere").iterdir()) == ["mlflow.db", "mlruns", "tuner.db"]

    shown = answer_here(capsys, "show", "wines", "--json")
    assert shown["best"] == best
    assert shown["trials"] == result["trials"]


def test_regression(folder):
    result, _ = answer(folder, "run", "quality/wines.py", "--trials", "3", "--set", "pruner=none", "--quiet", "--json")
    assert (result["metric"], result["direction"]) == ("rmse", "minimize")
    assert result["trials"]["complete"] == 3
    assert 0 < result["best"]["value"] < 1.7  # the targets' own deviation
