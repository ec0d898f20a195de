"""The confusion matrix as a picture in the study's run."""

import numpy as np
import pytest
from matplotlib.image import imread

from tuner.tracking import ConfusionMatrix
from tuner.tracking.pictures import confusion_figure

from .helpers import study

CONFUSION = ConfusionMatrix(["cat", "dog", "eel"], [[5, 1, 0], [0, 7, 0], [0, 2, 3]], "15 of 18 test rows right")


def test_each_cell_shows_its_count_and_axes_name_the_classes():
    (axes,) = confusion_figure(CONFUSION).axes
    counts = {(int(text.get_position()[1]), int(text.get_position()[0])): text.get_text() for text in axes.texts}
    assert counts == {
        (true, predicted): str(count or "") for (true, predicted), count in np.ndenumerate(CONFUSION.counts)
    }
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog", "eel"]
    assert axes.get_title() == "15 of 18 test rows right"
    assert axes.get_xlabel() == "Predicted label"


@pytest.mark.parametrize("classes", [2, 10, 60])
def test_any_number_of_classes_is_drawn(tmp_path, classes):
    counts = np.random.default_rng(0).integers(0, 9, (classes, classes)).tolist()
    figure = confusion_figure(ConfusionMatrix([str(label) for label in range(classes)], counts, "it"))
    figure.savefig(tmp_path / "it.png")
    picture = imread(tmp_path / "it.png")
    assert picture.shape[0] <= 2000
    assert picture[..., :3].std() > 0.05


def test_it_is_in_the_study_s_run(store, tmp_path):
    sink = store.sink()
    sink.study_started(study())
    sink.study_ended("finished", {"best_value": 0.75}, CONFUSION)
    sink.close()
    assert sink.problem is None
    [parent] = store.parents()
    assert [file.path for file in store.client.list_artifacts(parent.info.run_id)] == ["confusion_matrix.png"]
    assert imread(store.client.download_artifacts(parent.info.run_id, "confusion_matrix.png", tmp_path)).size > 10_000
