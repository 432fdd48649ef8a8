"""Moving aside what a stage made, and putting it back, wherever a kill breaks that off."""

import shutil

import pytest

from rlvr.pipeline import aside
from rlvr.pipeline.aside import asides, move_aside, put_back
from rlvr.pipeline.folder import RunFolder, read_entries


def contents(path):
    """Every file of a folder but the hidden ones; JSON lines and lists in any order."""
    files = [file for file in path.rglob("*") if file.is_file() and file.name[0] != "."]
    return {
        str(file.relative_to(path)): sorted(
            file.read_bytes().split(b"\n") if "json" in file.suffix else [file.read_bytes()]
        )
        for file in files
    }


class KilledError(BaseException):
    pass


@pytest.fixture
def folder(finished, tmp_path):
    shutil.copytree(finished.run_dir, tmp_path / "run")
    made = RunFolder(tmp_path / "run")
    yield made
    made.close()


def killed_at(monkeypatch, names, moment, work, *args):
    """Does some work, with the `moment`-th call of one of the functions never coming to its end."""
    calls = iter(range(1000))

    def fatal(function):
        def called(*args, **kwargs):
            if next(calls) == moment:
                raise KilledError
            return function(*args, **kwargs)

        return called

    with monkeypatch.context() as patched:
        for place, name in names:
            patched.setattr(place, name, fatal(getattr(place, name)))
        try:
            work(*args)
        except KilledError:
            return True
    return False


STEPS = [(aside, "_move"), (aside, "write_json"), (aside, "replace_lines")]
STEPS += [(RunFolder, name) for name in ("forget_results", "forget_stage", "record_results", "record_stage")]


@pytest.mark.parametrize("stage", ["grpo", "evaluate"])
def test_what_is_moved_aside_comes_back_whole_from_wherever_it_was_killed(folder, monkeypatch, stage):
    before = contents(folder.path)
    for moment in range(100):
        was_killed = killed_at(monkeypatch, STEPS, moment, move_aside, stage, folder)
        if folder.entry(stage):
            move_aside(stage, folder)
        assert stage not in read_entries(folder.path)
        assert not [
            name for name in contents(folder.path) if name.startswith((f"models/{stage}", f"traces/{stage}.train"))
        ]
        (only,) = asides(folder.path, stage)
        was_killed |= killed_at(monkeypatch, STEPS, moment, put_back, only, folder)
        for left in asides(folder.path, stage):
            put_back(left, folder)
        assert contents(folder.path) == before
        if not was_killed:
            break
    assert 5 < moment < 99


def test_whatever_bears_the_name_of_the_stage_goes_with_it_and_nothing_else(folder):
    names = ["gguf/grpo/a.gguf", "spectrum/grpo.yaml", "gguf/grpo-2/a.gguf", "spectrum/sft.yaml"]
    for name in names:
        (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / name).write_text("x")
    aside = move_aside("grpo", folder)
    assert [(folder.path / name).exists() for name in names] == [False, False, True, True]
    assert [(aside / name).exists() for name in names] == [True, True, False, False]


def test_the_latest_of_several_is_found_first(folder):
    entry = folder.entry("grpo")
    for steps in (1, 2):
        folder.record_stage({**entry, "config": {**entry["config"], "steps": steps}})
        move_aside("grpo", folder)
    assert [each.entry["config"]["steps"] for each in asides(folder.path, "grpo")] == [2, 1]
    assert [each.path.name for each in asides(folder.path, "grpo")] == ["grpo.2", "grpo.1"]
