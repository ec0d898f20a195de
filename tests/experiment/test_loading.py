import sys

import pytest

from tuner import InputError, datasets
from tuner.experiment import load_experiment
from tuner.experiment.loading import project_root

FILE = """
from tuner import Experiment, datasets, models
{imports}

experiment = Experiment(
    name={name}, data=datasets.iris, model=models.MLP, search_space=lambda trial: {{}}, folds=2, epochs=1
)
other = experiment.replace(name="other")
"""


@pytest.fixture(autouse=True)
def path(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))


def write(file, imports="", name="'flowers'"):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(FILE.format(imports=imports, name=name))
    return file


def test_a_file_and_a_name_in_it(tmp_path, monkeypatch):
    file = write(tmp_path / "some folder" / "flowers.py")
    monkeypatch.chdir(tmp_path)
    for reference in (str(file), "some folder/flowers.py", "some folder/flowers.py:experiment"):
        experiment, source = load_experiment(reference)
        assert experiment.name == "flowers"
        assert (source.file, source.name, source.text) == (file, "experiment", str(file))
    experiment, source = load_experiment("some folder/flowers.py:other")
    assert experiment.name == "other"
    assert source.text == f"{file}:other"
    assert load_experiment(source.text)[0].name == "other"


def test_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "flowers.py")
    assert load_experiment("~/flowers.py")[1].file == tmp_path / "flowers.py"


def test_three_folders_are_importable(tmp_path, monkeypatch):
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "pyproject.toml").touch()
    (tmp_path / "project" / "of_the_root.py").write_text("name = 'root'")
    file = write(
        tmp_path / "project" / "deep" / "flowers.py",
        "import of_the_folder, of_the_root, of_the_current_folder",
        "'-'.join(m.name for m in (of_the_folder, of_the_root, of_the_current_folder))",
    )
    (file.parent / "of_the_folder.py").write_text("name = 'folder'")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "of_the_current_folder.py").write_text("name = 'here'")
    monkeypatch.chdir(tmp_path / "here")
    experiment, source = load_experiment(str(file))
    assert experiment.name == "folder-root-here"
    assert source.root == tmp_path / "project"


def test_the_root_is_the_nearest_project(tmp_path):
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    assert project_root(inner / "a.py") == inner
    (tmp_path / "outer" / "pyproject.toml").touch()
    assert project_root(inner / "a.py") == tmp_path / "outer"
    (inner / "pyproject.toml").touch()
    assert project_root(inner / "a.py") == inner


def test_two_files_of_one_name_do_not_meet(tmp_path):
    one, two = (load_experiment(str(write(tmp_path / n / "flowers.py", name=repr(n))))[0] for n in "ab")
    assert (one.name, two.name) == ("a", "b")


def test_data_is_looked_up_beside_the_file(tmp_path, monkeypatch):
    file = write(tmp_path / "there" / "flowers.py")
    file.write_text(file.read_text().replace("datasets.iris", "datasets.csv('flowers.csv', target='kind')"))
    (file.parent / "flowers.csv").write_text("length,kind\n" + "1,a\n2,b\n" * 3)
    monkeypatch.chdir(tmp_path)
    assert load_experiment("there/flowers.py")[0].data().inputs.shape == (6, 1)
    assert datasets.experiment_folder.get() is None


def test_an_error_names_the_last_line_of_the_users_file(tmp_path):
    file = write(tmp_path / "flowers.py")
    file.write_text(f"import json\n\ndef read():\n    return json.loads('no json')\n\nread()\n{file.read_text()}")
    with pytest.raises(InputError, match=r"the experiment file raises: JSONDecodeError: .* \(flowers.py, line 4\)"):
        load_experiment(str(file))


def test_an_input_error_of_the_file_is_kept(tmp_path):
    file = write(tmp_path / "flowers.py")
    file.write_text(file.read_text().replace("folds=2", "folds=1"))
    with pytest.raises(InputError, match="folds must be a whole number of at least 2"):
        load_experiment(str(file))


def test_names_that_the_file_has_are_named(tmp_path):
    file = write(tmp_path / "flowers.py")
    with pytest.raises(InputError, match=r"no experiment of this name: othr\. Did you mean 'other'\?"):
        load_experiment(f"{file}:othr")
