"""What the README shows is what the pages say and the command line has."""

import re
from pathlib import Path

from tuner.cli import app

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
