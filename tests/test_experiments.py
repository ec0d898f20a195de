"""Every experiment file runs, says in its header how, and is short."""

import ast
import contextlib
import json
import re
import sys
from pathlib import Path

import pytest

from tuner import InputError, datasets, run
from tuner.cli import main
from tuner.experiment import load_experiment, override

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "experiments").glob("*.py"))
FROM_WEIGHTS = ROOT / "experiments" / "mnist_from_fashion.py"
SLICE = {"mnist": 300, "fashion": 300, "diamonds": 800, "segments": 800, "surnames": 400, "stdlib": 120}


def slice_of(file):
    return next(([f"data.limit={rows}"] for name, rows in SLICE.items() if file.stem.startswith(name)), [])


def is_installed(file):
    """Whether the data is there; but for Fashion-MNIST, which a system's package brings, its lack is a failure."""
    if not file.stem.startswith("fashion"):
        return True
    with contextlib.suppress(InputError):
        datasets.fashion_mnist()
        return True
    return False


@pytest.mark.parametrize("file", [file for file in FILES if file != FROM_WEIGHTS], ids=lambda file: file.stem)
def test_it_runs_on_a_slice_of_its_data(file, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    experiment, _ = load_experiment(str(file))
    short = override(experiment, ["epochs=1", "folds=2", *slice_of(file)])
    if not is_installed(file):
        with pytest.raises(InputError, match=r"Fashion-MNIST is not installed.*apt-get install dataset-fashion-mnist"):
            run(short, trials=2, storage=f"sqlite:///{tmp_path}/tuner.db", tracking_uri=None)
        return
    result = run(short, trials=2, storage=f"sqlite:///{tmp_path}/tuner.db", tracking_uri=None)
    assert result.trials["failed"] == 0
    assert result.trials["complete"] + result.trials["pruned"] == 2
    assert result.best is not None
    assert len(result.best.test) == 2


def test_what_was_trained_on_clothes_goes_on_with_digits(tmp_path, monkeypatch, capsys):
    """Both steps by the commands of the header; the clothes are digits, since only some systems have them."""
    file = tmp_path / "steps.py"
    file.write_text(FROM_WEIGHTS.read_text().replace("datasets.fashion_mnist", "datasets.mnist"))
    monkeypatch.chdir(tmp_path)
    slices = ["--set", "data.limit=300", "--set", "folds=2", "--set", "epochs=1", "--trials", "1", "--quiet", "--json"]
    for name in (":pretraining", ""):
        with pytest.raises(SystemExit) as left:
            main(["run", f"{file}{name}", *slices])
        written = capsys.readouterr()
        assert left.value.code == 0, written.err
        assert len(json.loads(written.out)["best"]["test"]) == 2
    with pytest.raises(SystemExit) as left:
        main(["run", str(file), *slices, "--storage", f"sqlite:///{tmp_path}/other.db"])
    assert left.value.code == 0, capsys.readouterr().err  # the weights come from where the file says


def test_the_settings_that_are_often_given_are_another_experiment_of_the_file():
    untuned, _ = load_experiment(f"{ROOT / 'experiments' / 'mnist_cnn.py'}:untuned")
    assert untuned.search_space(None) == {
        "channels": [32, 64],
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "batch_size": 64,
    }
    assert (untuned.epochs, untuned.data) == (5, datasets.mnist)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_its_header_says_the_command_and_the_rest_is_short(file):
    header = ast.get_docstring(ast.parse(file.read_text()))
    assert f"tuner run experiments/{file.name} --trials" in header
    assert re.search(r"Measured on .*: .*\d", header.replace("\n", " "))
    rest = file.read_text().split('"""', 2)[2]
    assert len(rest.strip().splitlines()) <= 40


@pytest.mark.parametrize("file", sorted((ROOT / "tuner/models").glob("*.py")), ids=lambda file: file.stem)
def test_a_family_is_short(file):
    assert len(file.read_text().splitlines()) <= 150


def test_every_search_space_is_of_an_experiment_or_says_whose_model_it_is():
    for file in sorted((ROOT / "search_spaces").glob("*.py")):
        assert re.search(r"`tuner\.models\.\w+`", ast.get_docstring(ast.parse(file.read_text())))
