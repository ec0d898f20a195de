"""`tuner report`: one page, or Markdown with pictures, that says what the database holds."""

import json
import re

import pytest
from matplotlib.image import imread

from tests.report.test_figures import odd_space, space
from tests.study.conftest import iris_experiment
from tuner import cli, run
from tuner.report.confidence import corrected_interval
from tuner.report.written import sections_of, write_report
from tuner.report.written.blocks import Table, Text


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    experiment = iris_experiment(search_space=space, epochs=6, test_fraction=0.2)
    return run(experiment, trials=12, storage=f"sqlite:///{folder}/tuner.db", tracking_uri=None), folder


def words(sections, title):
    (section,) = [section for section in sections if section.title == title]
    texts = [block.words for block in section.blocks if isinstance(block, Text)]
    cells = [" | ".join(row) for block in section.blocks if isinstance(block, Table) for row in block.rows]
    return "\n".join([*texts, *cells])


def test_it_says_what_the_database_holds(done):
    result, _ = done
    sections = sections_of(result)
    assert [section.title for section in sections][:6] == [
        "What was searched", "What was found", "How sure that is", "What mattered", "What it cost",
        "How to do it again",
    ]  # fmt: skip
    searched = words(sections, "What was searched")
    assert "dropout | 0 to 0.5 | linear" in searched
    assert "batch_size | 16, 32 | categorical" in searched
    assert result.memory.shown.dataset["digest"] in searched
    found = words(sections, "What was found")
    assert f"trial {result.best.number}: accuracy {result.best.value:.4f}" in found
    sure = words(sections, "How sure that is")
    interval = corrected_interval(result.best.fold_values, 1 / 2)
    assert f"interval {interval.low:.4f} to {interval.high:.4f}" in sure
    assert "the reference, trial 0 |" in sure or result.best.number == 0
    assert "rather than" in sure
    assert ", ".join(f"{value:.4f}" for value in result.best.test) in sure
    assert "bootstrap over rows" in sure
    assert f"{result.cost['wall_seconds']:.1f} seconds in all" in words(sections, "What it cost")
    assert f"seed | {result.memory.seed}" in words(sections, "How to do it again")


def test_the_reference_can_be_named(done):
    result, _ = done
    other = max(set(range(12)) - {result.best.number})
    assert f"the reference, trial {other} |" in words(sections_of(result, other), "How sure that is")


def said(capsys, *arguments, code=0):
    with pytest.raises(SystemExit) as left:
        cli.main(["report", *arguments])
    out, err = capsys.readouterr()
    assert left.value.code == code, err
    return out or err


def test_a_page_that_needs_nothing_else(done, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, folder = done
    storage = ("--storage", f"sqlite:///{folder}/tuner.db")
    assert "wrote iris.html" in said(capsys, "iris", *storage)
    page = (tmp_path / "iris.html").read_text()
    assert "default-src 'none'" in page
    without_library = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert "http://" not in without_library
    assert "https://" not in without_library
    for name in ("history", "curves", "importances", "slices", "parallel", "confusion_matrix", "lanes"):
        assert f"figure-{name}" in page
    said(capsys, "iris", *storage)  # a report is written again
    (tmp_path / "mine.html").write_text("mine")
    assert "no report" in said(capsys, "iris", *storage, "--to", "mine.html", code=2)
    assert (tmp_path / "mine.html").read_text() == "mine"


def test_markdown_with_pictures(done, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, folder = done
    storage = ("--storage", f"sqlite:///{folder}/tuner.db")
    files = json.loads(said(capsys, "iris", *storage, "--to", "my report.md", "--json"))["files"]
    text = (tmp_path / "my report.md").read_text()
    links = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert len(links) == len(files) - 1 == 7
    for link in links:
        assert imread(tmp_path / link.replace("%20", " ")).size > 10_000


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--to", "report.pdf"), ".html or .md"),
        (("--to", "no/such/folder/report.html"), "cannot be written"),
        (("--against", "99"), "no complete trial"),
    ],
)
def test_refusals(done, tmp_path, capsys, monkeypatch, arguments, expected):
    monkeypatch.chdir(tmp_path)
    assert expected in said(capsys, "iris", "--storage", f"sqlite:///{done[1]}/tuner.db", *arguments, code=2)
    assert list(tmp_path.iterdir()) == []


def test_names_are_text(tmp_path):
    experiment = iris_experiment(search_space=odd_space, epochs=2)
    result = run(experiment, trials=6, storage=f"sqlite:///{tmp_path}/tuner.db", tracking_uri=None)
    sections = sections_of(result)
    write_report(sections, "a <b> & *c*", tmp_path / "r.html")
    write_report(sections, "a <b> & *c*", tmp_path / "r.md")
    assert "<script>alert" not in (tmp_path / "r.html").read_text()
    assert "<script>" not in (tmp_path / "r.md").read_text().replace("\\<script\\>", "")


def test_a_study_of_one_trial(tmp_path):
    experiment = iris_experiment(epochs=1, search_space=space)
    result = run(experiment, trials=1, storage=f"sqlite:///{tmp_path}/tuner.db", tracking_uri=None)
    sections = sections_of(result)
    sure = words(sections, "How sure that is")
    assert "interval" in sure
    assert "rather than" not in sure  # nothing was chosen
    assert "against" not in sure
    assert "too few" in words(sections, "What mattered")
