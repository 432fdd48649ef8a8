"""Checkpoints are there whole or not at all: by name, by size, by checksum."""

import json

import pytest

from rlvr.pipeline.checkpoints import (
    RECORD,
    checkpoints,
    damage,
    last_step,
    prune,
    publish,
    remove,
    sweep,
    unfinished,
)


def write(folder, step):
    written = unfinished(folder, step)
    (written / "inner").mkdir(parents=True)
    (written / "model.safetensors").write_bytes(bytes(range(256)) * step)
    (written / "inner/optimizer.pt").write_bytes(b"moments")
    return publish(folder, step, {"processes": 1})


@pytest.fixture
def folder(tmp_path):
    for step in (2, 4, 10):
        write(tmp_path, step)
    return tmp_path


def test_a_checkpoint_has_its_place_once_all_of_it_is_written(folder):
    assert [path.name for path in checkpoints(folder)] == ["checkpoint-10", "checkpoint-4", "checkpoint-2"]
    assert [path for path in checkpoints(folder) if damage(path)] == [] and last_step(folder) == 10
    record = json.loads((folder / "checkpoint-4" / RECORD).read_text())
    assert record["processes"] == 1 and record["files"]["model.safetensors"]["bytes"] == 1024
    assert set(record["files"]) == {"model.safetensors", "inner/optimizer.pt"}


def flip(path):
    content = bytearray((path / "model.safetensors").read_bytes())
    content[100] ^= 1
    (path / "model.safetensors").write_bytes(content)


def cut(path):
    (path / "model.safetensors").write_bytes((path / "model.safetensors").read_bytes()[:-1])


def lose(path):
    (path / "inner/optimizer.pt").unlink()


def unsay(path):
    (path / RECORD).unlink()


def garble(path):
    (path / RECORD).write_text('{"files": {"model.safetensors": 3}}')


@pytest.mark.parametrize(
    ("spoil", "says", "seen_without_reading"),
    [
        (flip, "model.safetensors has another checksum than when it was written", False),
        (cut, "model.safetensors has 2559 bytes of 2560", True),
        (lose, "inner/optimizer.pt is missing", True),
        (unsay, "it has no checkpoint.json", True),
        (garble, "its checkpoint.json cannot be read", True),
    ],
)
def test_what_is_wrong_is_said_and_the_one_before_is_the_last(folder, spoil, says, seen_without_reading):
    spoil(folder / "checkpoint-10")
    assert damage(folder / "checkpoint-10") == says
    assert [damage(path) for path in checkpoints(folder)] == [says, None, None]
    assert last_step(folder) == (4 if seen_without_reading else 10)


def test_one_that_was_renamed_is_none(folder):
    (folder / "checkpoint-10").rename(folder / "checkpoint-10.old")
    (folder / "checkpoint-4").rename(folder / "checkpoint-of-4")
    assert last_step(folder) == 2 and len(checkpoints(folder)) == 1


def test_the_latest_stay_and_one_that_is_spared(folder):
    prune(folder, 1, spare=folder / "checkpoint-2")
    assert [path.name for path in checkpoints(folder)] == ["checkpoint-10", "checkpoint-2"]
    prune(folder, 2)
    assert len(checkpoints(folder)) == 2


def test_one_of_the_same_step_is_replaced(folder):
    flip(folder / "checkpoint-10")
    write(folder, 10)
    assert damage(folder / "checkpoint-10") is None


def test_what_was_broken_off_is_no_checkpoint_and_is_swept(folder):
    (unfinished(folder, 12)).mkdir()
    remove(folder / "checkpoint-4")
    assert [path.name for path in checkpoints(folder)] == ["checkpoint-10", "checkpoint-2"]
    sweep(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint-10", "checkpoint-2"]
