"""What is kept between processes: the compiled programs, and what was found out about them."""

import json
import logging
import os
import subprocess
import sys
import zlib
from pathlib import Path

import jax
import pytest

from tuner.lanes.cache import _is_whole, cache_folder, drop_damaged, trim, use_persistent_cache
from tuner.lanes.remembered import Known, Remembered

TUNER = Path(sys.executable).with_name("tuner")
EXPERIMENT = """
from tuner import Experiment, Width, datasets, models


def search_space(trial):
    return dict(
        hidden=[Width(trial.suggest_int("hidden", 4, 64, log=True), cap=64)],
        learning_rate=trial.suggest_float("learning_rate", 1e-3, 1e-1, log=True),
        batch_size=trial.suggest_categorical("batch_size", [16, 32]),
    )


experiment = Experiment(
    name="flowers", data=datasets.iris, model=models.MLP, search_space=search_space, metric="accuracy",
    folds=3, epochs=2, sampler="random", pruner="none",
)
"""


def file_of(folder, name, size, *, written, read):
    file = folder / name
    file.write_bytes(b"x" * size)
    os.utime(file, (read, written))
    return file


def test_what_was_not_read_for_longest_goes_first(tmp_path):
    old = file_of(tmp_path, "old", 10, written=100, read=200)
    kept = file_of(tmp_path, "read-again", 10, written=100, read=900)
    new = file_of(tmp_path, "new", 10, written=800, read=0)  # where the disk notes no reading, writing counts
    trim(tmp_path, 30)
    assert old.exists()
    trim(tmp_path, 20)
    assert not old.exists()
    trim(tmp_path, 19)
    assert (kept.exists(), new.exists()) == (True, False)


def test_trimming_looks_at_no_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    trim(tmp_path, 0)
    assert (tmp_path / "folder").exists()


def test_a_program_that_was_not_written_to_its_end_is_dropped(tmp_path):
    whole = zlib.compress(b"program" * 1000)
    contents = {"whole-cache": whole, "half-cache": whole[: len(whole) // 2], "empty-cache": b"", "other": b"half"}
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    drop_damaged(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"whole-cache", "other", "checked"}


def test_programs_are_looked_at_once(tmp_path):
    drop_damaged(tmp_path)
    before = (tmp_path / "checked").stat().st_mtime - 100
    file_of(tmp_path, "old-cache", 10, written=before, read=before)
    file_of(tmp_path, "new-cache", 10, written=before + 200, read=before)
    drop_damaged(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"old-cache", "checked"}


@pytest.fixture
def no_cache(tmp_path, monkeypatch):
    """A JAX that nobody has told of a cache, and a cache folder for it; afterwards it is as it was."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    values = {name: getattr(jax.config, name) for name in names}
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.setenv("TUNER_CACHE_DIR", str(tmp_path / "cache"))
    yield tmp_path
    for name, value in values.items():
        jax.config.update(name, value)


switch_on = use_persistent_cache.__wrapped__  # a process does it once


def test_the_cache_is_where_the_user_wants_it(no_cache):
    switch_on()
    assert jax.config.jax_compilation_cache_dir == str(no_cache / "cache" / "xla")
    assert jax.config.jax_persistent_cache_min_compile_time_secs == 0
    assert (no_cache / "cache" / "xla").is_dir()


def test_without_a_wish_it_is_the_platforms_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("TUNER_CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder().name == "tuner"


def test_a_cache_that_was_set_for_jax_stays(no_cache):
    jax.config.update("jax_compilation_cache_dir", str(no_cache / "own"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 5.0)
    switch_on()
    assert jax.config.jax_compilation_cache_dir == str(no_cache / "own")
    assert jax.config.jax_persistent_cache_min_compile_time_secs == 5
    assert not (no_cache / "cache").exists()


def test_a_cache_that_was_switched_off_stays_off(no_cache):
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        switch_on()
    finally:
        jax.config.update("jax_enable_compilation_cache", True)
    assert jax.config.jax_compilation_cache_dir is None


def is_in_no_folder(folder):
    (folder / "cache").write_text("a file where the folder should be")


def is_read_only(folder):
    (folder / "cache" / "xla").mkdir(parents=True)
    (folder / "cache" / "xla").chmod(0o500)


READ_ONLY = pytest.param(is_read_only, marks=pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere"))


@pytest.mark.parametrize("spoil", [is_in_no_folder, READ_ONLY])
def test_without_a_folder_to_write_everything_works_and_it_is_said_once(no_cache, caplog, spoil):
    spoil(no_cache)
    with caplog.at_level(logging.WARNING, "tuner"):
        switch_on()
    (message,) = caplog.messages
    assert str(no_cache / "cache" / "xla") in message
    assert "directory" in message or "denied" in message  # the cause, as the system says it
    assert jax.config.jax_compilation_cache_dir is None
    known = Remembered("family")
    known.add(caps=[(8,)])
    assert known.read() == Known()


def test_what_is_remembered_is_there_for_the_next_process(no_cache):
    Remembered("family").add(caps=[(8,)])
    Remembered("family").add(way=(1, 5))
    assert Remembered("family").read() == Known(caps=[(8,)], way=(1, 5))
    assert Remembered("another").read() == Known()


DAMAGED = [b"", b'{"caps": [[8', b"[1, 2]", b"null", b"\xff\xfe\x00", b'{"caps": 5}', b'{"caps": [[8]], "way": [0, 1]}']


@pytest.mark.parametrize("damaged", DAMAGED)
def test_what_is_damaged_counts_as_empty_and_is_written_anew(no_cache, damaged):
    known = Remembered("family")
    known.add(caps=[(8,)])
    (file,) = (no_cache / "cache" / "programs").iterdir()
    file.write_bytes(damaged)
    assert known.read() == Known()
    known.add(caps=[(16,)])
    assert known.read() == Known(caps=[(16,)])


class Runs:
    """Runs of one experiment, each a process with databases of its own, all with one cache folder."""

    def __init__(self, folder, *options):
        self._folder, self._options, self._count = folder, options, 0
        (folder / "flowers.py").write_text(EXPERIMENT)

    def next(self):
        """The result of a run, and what it said on stderr."""
        self._count += 1
        where = self._folder / str(self._count)
        where.mkdir()
        words = ("run", "../flowers.py", "--trials", "8", "--quiet", "--json", *self._options)
        environment = os.environ | {"TUNER_CACHE_DIR": str(self._folder / "cache")}
        done = subprocess.run(
            [TUNER, *words], cwd=where, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    @property
    def programs(self):
        """The compiled programs in the cache."""
        return sorted((self._folder / "cache" / "xla").glob("*-cache"))


def test_a_second_process_loads_what_the_first_one_compiled(tmp_path):
    runs = Runs(tmp_path)
    cold, warm = runs.next()[0]["cost"], runs.next()[0]["cost"]
    assert cold["cache_hits"] < cold["compilations"]
    assert warm["cache_hits"] == warm["compilations"]
    assert warm["background"]["compile"] < 0.25 * cold["background"]["compile"]


@pytest.mark.slow
def test_deterministic_runs_have_the_same_programs_in_the_same_order_and_survive_damaged_ones(tmp_path):
    runs = Runs(tmp_path, "--deterministic")
    cold, warm = runs.next()[0], runs.next()[0]
    assert warm["cost"]["compiled"] == cold["cost"]["compiled"]
    assert warm["best"]["value"] == cold["best"]["value"]
    assert warm["cost"]["cache_hits"] == warm["cost"]["compilations"]

    for file in runs.programs:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    mended, said = runs.next()
    assert said == ""
    assert mended["best"]["value"] == cold["best"]["value"]
    assert mended["cost"]["cache_hits"] < mended["cost"]["compilations"]
    assert all(_is_whole(file.read_bytes()) for file in runs.programs)  # written anew, to the end
