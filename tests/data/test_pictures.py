"""Folders of pictures."""

import numpy as np
import pytest
from PIL import Image

from tuner import InputError, datasets
from tuner.data import prepare


def draw(file, colour, size=(6, 4)):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(file)


def test_subfolders_are_classes(tmp_path):
    for label, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        for number in range(2):
            draw(tmp_path / label / f"{number}.png", colour, size=(6 + number, 4))
    (tmp_path / "red" / "notes.txt").write_text("no picture")
    (tmp_path / ".cache").mkdir()
    prepared = prepare(datasets.images(tmp_path, size=(4, 5)))
    assert prepared.labels == ("blue", "red")
    assert prepared.inputs.shape == (4, 4, 5, 3)
    assert prepared.inputs.dtype == np.uint8
    for pixels, code in zip(prepared.inputs, prepared.targets, strict=True):
        assert (pixels == [(0, 0, 255), (255, 0, 0)][code]).all()
    grey = prepare(datasets.images(tmp_path, size=(4, 5), colour=False))
    assert grey.inputs.shape == (4, 4, 5, 1)


def test_train_and_test_are_parts(tmp_path):
    for part, count in (("train", 3), ("test", 2)):
        for number in range(count):
            for label in "ab":
                draw(tmp_path / part / label / f"{number}.jpg", (number * 20, 0, 0))
    prepared = prepare(datasets.images(tmp_path, size=(4, 4)))
    assert prepared.labels == ("a", "b")
    assert (len(prepared.inputs), prepared.own_test) == (10, 4)


def test_what_is_wrong_is_said(tmp_path):
    with pytest.raises(InputError, match="no such data folder"):
        datasets.images("nowhere", size=(4, 4))()
    with pytest.raises(InputError, match="no pictures in subfolders"):
        datasets.images(tmp_path, size=(4, 4))()
    for size in ((4,), (0, 4), (4.0, 4)):
        with pytest.raises(InputError, match="size must be a height and a width"):
            datasets.images(tmp_path, size=size)
    draw(tmp_path / "a" / "1.png", (0, 0, 0))
    (tmp_path / "a" / "2.png").write_bytes(b"no picture at all")
    with pytest.raises(InputError, match=r"a picture cannot be read: .*2\.png"):
        datasets.images(tmp_path, size=(4, 4))()
