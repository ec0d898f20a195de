"""Checkpoints on disk: whole or not at all, the newest that is whole, and what a damaged one costs."""

import errno
import json
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest

from tests.helpers import Evil
from tuner.lanes.snapshots import Snapshot
from tuner.study.checkpoints import Checkpoint, CheckpointFiles, Kept, folder_of, newest_in
from tuner.study.checkpoints import files as module

RNG = np.random.default_rng(0)


def checkpoint(epoch=3):
    lanes = {
        ".values['a']": RNG.normal(size=(3, 4, 2)).astype(np.float32),
        ".step": np.arange(3, dtype=np.int32),
        ".words": RNG.integers(0, 2**32, size=(3, 2), dtype=np.uint32),
        ".empty": np.zeros((3, 0)),
    }
    with_lanes = Snapshot({"hidden.0": 8}, 1, 3, 1, epoch, (12.0, 7.5), lanes)
    kept = [
        Kept(4, 1700, [[0.1, 0.2, 0.3]] * epoch, {"loss": [1 / 3] * epoch}, {"completed_rung_0": 0.5}, with_lanes),
        Kept(6, 1800, [], {}, {}, Snapshot({"hidden.0": 16}, 1, 3, 1)),
    ]
    return Checkpoint(9, [5, 8], kept, {"epochs": 1.5, "trials": 2, "families": [], "foreseen": [9]})


@pytest.fixture
def files(tmp_path):
    return CheckpointFiles(tmp_path / "key", lambda: None)


def saved(files, one):
    files.save(one)
    files.wait()
    assert files.problem is None
    return one


def same(one, other):
    (plain, arrays), (plain_too, arrays_too) = one.split(), other.split()
    assert json.dumps(plain) == json.dumps(plain_too)
    assert arrays.keys() == arrays_too.keys()
    for trial, leaves in arrays.items():
        for place, leaf in leaves.items():
            found = arrays_too[trial][place]
            assert (found.dtype, found.shape, found.tobytes()) == (leaf.dtype, leaf.shape, leaf.tobytes())
    return True


def test_what_was_kept_comes_back_bit_for_bit(files):
    assert newest_in(files.folder) is None
    written = saved(files, checkpoint())
    found = newest_in(files.folder)
    assert same(written, found)
    assert found.ended == {0, 1, 2, 3, 7}
    assert found.trials[0].snapshot.lanes.keys() == written.trials[0].snapshot.lanes.keys()
    assert found.differences() == []


def test_a_checkpoint_without_lanes(files):
    one = checkpoint()
    saved(files, Checkpoint(one.created, one.waiting, one.trials[1:], one.scheduler))
    assert [kept.number for kept in newest_in(files.folder).trials] == [6]


def test_old_checkpoints_go(files):
    for epoch in range(1, 6):
        saved(files, checkpoint(epoch))
    assert sorted(path.name for path in files.folder.iterdir()) == ["4", "5"]
    assert newest_in(files.folder).trials[0].snapshot.epoch == 5
    files.clear()
    assert not files.folder.exists()


def damages():
    def largest(folder):
        return max((file for file in folder.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)

    def flip(folder):
        file = largest(folder / "lanes")
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)

    def truncate(folder):
        file = largest(folder / "lanes")
        file.write_bytes(file.read_bytes()[:-1])

    def empty(folder):
        (folder / "study.json").write_text("")

    def lost(folder):
        shutil.rmtree(folder / "lanes")

    def without_checksums(folder):
        (folder / "checksums.json").unlink()

    return [flip, truncate, empty, lost, without_checksums]


@pytest.mark.parametrize("damage", damages(), ids=lambda damage: damage.__name__)
def test_a_damaged_one_is_noticed_and_the_one_before_is_used(files, damage, caplog):
    before = saved(files, checkpoint(2))
    saved(files, checkpoint(3))
    damage(files.folder / "2")
    assert same(newest_in(files.folder), before)
    assert "2 cannot be used" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of Orbax, when its arrays are none
def test_nothing_in_a_checkpoint_is_unpickled(files, tmp_path, unpickled):
    saved(files, checkpoint())
    folder = files.folder / "1"
    content = {file: file.read_bytes() for file in module._files(folder)}
    assert len(content) > 5
    for file, written in content.items():
        file.write_bytes(pickle.dumps(Evil(tmp_path / "made")))
        if file.name != module.CHECKSUMS:
            sums = {str(other.relative_to(folder)): module._checksum(other) for other in content}
            del sums[module.CHECKSUMS]
            (folder / module.CHECKSUMS).write_text(json.dumps(sums))
        newest_in(files.folder)
        file.write_bytes(written)
    assert unpickled == []
    assert not (tmp_path / "made").exists()


def test_of_one_that_was_not_finished_nothing_is_left_behind_the_next(files):
    before = saved(files, checkpoint(2))
    (files.folder / "2.draft").mkdir()
    (files.folder / "2.draft" / "study.json").write_text("{}")
    assert same(newest_in(files.folder), before)
    saved(files, checkpoint(3))
    assert sorted(path.name for path in files.folder.iterdir()) == ["1", "2"]


def test_a_full_disk_costs_the_checkpoint_alone(files, monkeypatch, caplog):
    before = saved(files, checkpoint(2))

    def full(folder, _):
        (folder / "study.json").write_text("half of")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "_write", full)
        for _ in range(3):
            files.save(checkpoint(3))
            files.wait()
    assert "No space left" in files.problem
    assert caplog.text.count("no checkpoint can be written") == 1
    assert [path.name for path in files.folder.iterdir()] == ["1"]
    assert same(newest_in(files.folder), before)
    saved(files, checkpoint(4))


def test_a_checkpoint_counts_only_once_the_database_is_flushed(tmp_path):
    def fails():
        raise RuntimeError("the database is away")

    files = CheckpointFiles(tmp_path / "key", fails)
    files.save(checkpoint())
    files.wait()
    assert "the database is away" in files.problem
    assert newest_in(files.folder) is None


def test_other_machines_are_named(files):
    one = checkpoint()
    other = replace(one, machine={**one.machine, "cores": 96})
    assert other.differences() == [f"cores: 96 became {one.machine['cores']}"]


def test_where_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert folder_of(f"sqlite:///{tmp_path}/tuner.db", "ab12") == tmp_path / "tuner.db.checkpoints" / "ab12"
    assert folder_of("sqlite:///:memory:", "ab12") is None
    assert folder_of("postgresql://host/base", "ab12") == tmp_path / "tuner" / "checkpoints" / "ab12"
    assert folder_of("sqlite:///tuner.db", "ab12", str(tmp_path)) == tmp_path / "tuner-ab12"
    assert folder_of("sqlite:///:memory:", "ab12", str(tmp_path)) is None
    assert folder_of("sqlite:///file:x?mode=memory&uri=true", "ab12", str(tmp_path)) is None
    with pytest.raises(ValueError, match="letters and digits"):
        folder_of("sqlite:///tuner.db", "../../etc")
