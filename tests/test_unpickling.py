"""No module of ours can unpickle what somebody else wrote."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]


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
