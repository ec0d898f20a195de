"""The picture of a confusion matrix."""

import numpy as np
import pytest
from matplotlib.image import imread

from tuner.report.figures.confusion import confusion_figure
from tuner.study.shown import ConfusionMatrix

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
