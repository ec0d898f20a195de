"""What is shown while a study runs: counted right, live on a terminal alone, and never on stdout."""

import io
import logging
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from tuner.report.progress import Lines, LiveView, progress_of
from tuner.report.progress.live import clock, pace, standing
from tuner.report.progress.tally import Tally
from tuner.tracking import StudyRecord, TrialRecord

ROOT = Path(__file__).parents[3]


def study(direction="maximize"):
    return StudyRecord("s", "e", tags={"tuner.direction": direction, "tuner.metric": "loss/x"})


def ended(number, value=None, state="complete", reason=None):
    return TrialRecord(number, state, {}, 1, 2, value, reason)


def row(*folds):
    return {"loss/x": sum(folds) / len(folds), "other": 9.0} | {f"loss/x/fold_{i}": v for i, v in enumerate(folds)}


@pytest.mark.parametrize(("direction", "best"), [("maximize", 3), ("minimize", 2)])
def test_a_tally_counts(direction, best):
    tally = Tally(10)
    tally.study(study(direction), [ended(0, 0.5), ended(1, state="pruned")])
    tally.epoch(2, 1, row(1.0, 2.0, 3.0))
    tally.epoch(3, 4, row(1.0, 2.0, 6.0))
    assert (tally.ended, tally.lanes, tally.running[3].value, tally.running[3].epoch) == (2, 6, 3.0, 4)
    assert tally.an_hour(10) is None
    assert tally.end(ended(2, 0.1)) is (direction == "minimize")
    assert tally.end(ended(3, 0.9)) is (direction == "maximize")
    assert not tally.end(ended(4, state="failed", reason="no"))
    assert (tally.best.number, tally.ended, tally.failed, tally.lanes) == (best, 5, 1, 0)
    assert tally.an_hour(60) == 180
    assert tally.seconds_left(60) == 100


def test_words():
    tally = Tally(4, metric="accuracy")
    assert pace(tally, 12.3) == "12 s"
    assert standing(tally) == "best accuracy none yet   0 lanes busy"
    tally.end(ended(0, 0.25))
    assert pace(tally, 36) == "36 s, 100 trials an hour, 1:48 left"
    for number in (1, 2, 3):
        tally.end(ended(number, state="failed"))
    assert standing(tally) == "best accuracy 0.2500 (trial 0)   0 lanes busy   3 failed"
    assert pace(tally, 40) == "40 s, finishing"
    assert [clock(59.9), clock(60), clock(3600 * 2 + 65)] == ["59 s", "1:00", "2:01:05"]


def terminal(**options):
    return Console(file=io.StringIO(), force_terminal=True, width=100, height=30, highlight=False, **options)


def test_who_looks_at_no_terminal_gets_lines(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(progress_of(3, Console(file=io.StringIO())), Lines)
    assert isinstance(progress_of(3, terminal()), LiveView)
    monkeypatch.setenv("CI", "true")
    assert isinstance(progress_of(3, terminal()), Lines)
    monkeypatch.delenv("CI")
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(progress_of(3, terminal()), Lines)


def test_a_line_counts_what_ended_elsewhere():
    console = Console(file=io.StringIO(), width=100)
    lines = Lines(9, console)
    lines.study_started(study(), [ended(0, 0.5)])
    lines.study_counted(4)
    lines.trial_ended(ended(5, 0.75))
    said = console.file.getvalue().splitlines()
    assert said[0].startswith("study s: 9 trials, 1 of its trials are there")
    assert said[1].split() == ["5/9", "0.0", "s", "trial", "5", "complete", "0.7500", "best", "0.7500", "(trial", "5)"]


def test_the_view_shows_what_runs_and_says_what_is_notable(monkeypatch):
    view = LiveView(5, console := terminal())
    handler = logging.StreamHandler(sys.stderr)
    logging.getLogger().addHandler(handler)
    try:
        view.study_started(study())
        for number in range(10):
            view.epoch(number, 3, row(0.5, 1.0))
        view.trial_ended(ended(0, 0.75))
        view.trial_ended(ended(1, 0.5))
        view.trial_ended(ended(2, state="failed", reason="it [broke]"))
        view.trial_requeued(3)
        logging.getLogger().warning("heard")
        view._live.refresh()
        view.close()
    finally:
        logging.getLogger().removeHandler(handler)
    assert handler.stream is sys.stderr
    text = console.file.getvalue()
    for part in ("3/5 trials", "best loss/x 0.7500 (trial 0)", "12 lanes busy", "1 failed", "trial 4", "epoch 3"):
        assert part in text, part
    assert "trial 0: 0.7500, the best so far" in text
    assert "trial 2 failed: it [broke]" in text
    assert "trial 1:" not in text
    assert "heard" in text


EXPERIMENT = """
from tests.study.conftest import iris_experiment
experiment = iris_experiment(epochs=30)
"""


def test_a_terminal_sees_the_view_and_stdout_the_result_alone(tmp_path):
    (tmp_path / "iris.py").write_text(EXPERIMENT)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tuner.cli", "run", "iris.py", "--trials", "5"]
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    environment |= {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLUMNS": "100"}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    seen = b""
    try:
        while block := os.read(ours, 65536):
            seen += block
    except OSError:  # the other side was closed
        pass
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0, seen
    shown = seen.decode()
    assert "/5 trials" in shown
    assert "lanes busy" in shown
    assert "5/5 trials" in shown
    assert "finishing" in shown
    assert out.decode().startswith("study iris\n")
    assert "\x1b" not in out.decode()
