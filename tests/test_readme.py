"""What the README shows is what the pages say and the command line has."""

import re
from pathlib import Path
from types import FunctionType

from tuner import datasets, models, nn
from tuner.cli import app
from tuner.training.settings import SETTINGS

ROOT = Path(__file__).parents[1]


def python_block(page):
    return re.search(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL).group(1)


def test_the_example_is_the_one_that_is_run_in_the_tests():
    assert python_block("README.md") == python_block("docs/own-model.md")


def test_the_table_names_every_command():
    named = set(re.findall(r"^\| `tuner (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert named == set(app.commands)


def test_the_picture_is_there():
    assert (ROOT / "docs/images/mlflow-ui.png").stat().st_size > 10_000


def test_the_page_of_models_names_every_family_and_every_setting():
    page = (ROOT / "docs/models.md").read_text()
    families, rest = page.split("## What the trainer reads")
    settings = rest.split("## How fast")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", families, re.MULTILINE)) == set(models.__all__)
    named = {
        name for row in re.findall(r"^\| (`.*?`) \|", settings, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert named == set(SETTINGS)
    assert set(re.findall(r"`(\w+)`", families.split("your own model can use")[1].split("Each is")[0])) == set(
        nn.__all__
    )


def test_the_page_of_data_names_every_set():
    page = (ROOT / "docs/data.md").read_text()
    functions = {name for name, found in vars(datasets).items() if isinstance(found, FunctionType) and name[0] != "_"}
    own = {name for name in functions if getattr(datasets, name).__module__ == datasets.__name__}
    assert own - set(re.findall(r"\b(\w+)\b", page)) == set()
