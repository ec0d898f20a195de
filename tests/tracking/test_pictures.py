"""Pictures in the study's run: drawn behind the loop, and one that cannot be drawn takes nothing else with it."""

import threading
from pathlib import Path

from tuner.tracking import Picture

from .helpers import study


def shown(store):
    """The files in the study's run, each with its content."""
    [parent] = store.parents()
    files = [file.path for file in store.client.list_artifacts(parent.info.run_id)]
    read = {name: store.client.download_artifacts(parent.info.run_id, name) for name in files}
    return parent, {name: Path(path).read_bytes() for name, path in read.items()}


def test_they_are_in_the_study_s_run(store):
    drawn_by = []

    def content():
        drawn_by.append(threading.current_thread().name)
        return b"early"

    sink = store.sink()
    sink.study_started(study())
    sink.training_ended([Picture("early.png", content)])
    sink.study_ended("finished", {"best_value": 0.75}, [Picture("late.html", lambda: b"late", last=True)])
    sink.close()
    assert sink.problem is None
    assert shown(store)[1] == {"early.png": b"early", "late.html": b"late"}
    assert drawn_by == ["tuner-tracking"]


def test_one_that_cannot_be_drawn_is_said_and_all_else_is_written(store):
    sink = store.sink()
    sink.study_started(study())
    pictures = [Picture("broken.png", lambda: 1 / 0), Picture("whole.png", lambda: b"whole")]
    sink.study_ended("finished", {"best_value": 0.75}, pictures)
    sink.close()
    assert "division by zero" in sink.problem
    parent, files = shown(store)
    assert files == {"whole.png": b"whole"}
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["best_value"] == 0.75
