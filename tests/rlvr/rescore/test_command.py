"""`rlvr rescore` as a user calls it."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rlvr.cli import main

from .known import BARE, RIGHT, WRONG

SLOW = """
import time
from rlvr_rewards import reward

@reward
def slow(completion: str) -> float:
    time.sleep(0.2)
    return 0.0
"""
BAD = """
from rlvr_rewards import reward

@reward
def bad(completion: str) -> float:
    return 2.0
"""


@pytest.fixture
def run(make_run):
    return make_run([[[RIGHT, WRONG], [BARE, WRONG]], [[RIGHT, BARE], [RIGHT, RIGHT]]])


def said(capsys):
    return capsys.readouterr().err.strip()


def test_it_prints_what_changes_and_commands_that_open_it(run, capsys, monkeypatch):
    monkeypatch.chdir(run.parents[1])
    assert main(["rescore", "probe", "--reward", "think_format"]) == 0
    out = capsys.readouterr().out
    assert "grpo · train" in out and "zero-var" in out and "sign and order" in out
    commands = [line.strip() for line in out.splitlines() if line.strip().startswith("rlvr traces")]
    assert len(commands) == 4
    assert main([*shlex.split(commands[0])[1:], "--print"]) == 0
    assert BARE[:-1] in capsys.readouterr().out.replace("\n", "")


def test_all_of_it_as_json_and_parquet(run, tmp_path, capsys):
    report, rows = tmp_path / "report.json", tmp_path / "new.parquet"
    argv = ["rescore", str(run), "--reward", "think_format", "--json", str(report), "--output", str(rows)]
    assert main(argv) == 0
    found = json.loads(report.read_text())
    assert found["total"]["completions"] == 8 and found["reward"] == "think_format"
    assert found["stages"][0]["groups"]["zero_variance_before"] == 0.25
    assert {"completion", "reward_before", "advantage_after", "group", "what"} <= found["disagreements"][0].keys()
    assert pq.read_metadata(rows).num_rows == 8
    assert main(argv) == 2
    assert "give --force to replace it" in said(capsys)
    assert main([*argv, "--force"]) == 0


def test_json_on_the_standard_output_is_alone_there(run, capsys):
    assert main(["rescore", str(run), "--reward", "think_format", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["total"]["completions"] == 8


def test_scoping(run, capsys):
    assert main(["rescore", str(run), "--step", "2", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["total"]["completions"] == 4
    assert main(["rescore", str(run), "--stage", "sft"]) == 2
    assert said(capsys).endswith("has no traces of --stage sft; it has: grpo train")


@pytest.mark.parametrize("place", ["traces/new.parquet", "traces/sub/new.parquet"])
def test_the_traces_are_never_written(run, capsys, place):
    (run / "traces" / "sub").mkdir()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert main(["rescore", str(run), "--output", str(run / place), "--force"]) == 2
    assert "among the run's traces" in said(capsys)
    assert main(["rescore", str(run)]) == 0
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("reward", "line"),
    [
        ("exact_numbr", "did you mean 'exact_number'"),
        ("2 * 3", "is not understood"),
        ("missing.py:reward", "missing.py: no such file"),
    ],
)
def test_a_reward_that_cannot_be_read_is_one_line(run, capsys, reward, line):
    assert main(["rescore", str(run), "--reward", reward]) == 2
    error = said(capsys)
    assert line in error and len(error.splitlines()) == 1


def test_a_reward_that_always_fails_ends_with_2(run, tmp_path, capsys):
    (tmp_path / "bad.py").write_text(
        "from rlvr_rewards import reward\n@reward\ndef bad(completion: str) -> float:\n    return 2.0\n"
    )
    assert main(["rescore", str(run), "--reward", f"{tmp_path}/bad.py:bad"]) == 2
    assert "the reward failed for all 8 completions; the first: bad: ValueError: returned 2" in said(capsys)


def test_a_run_without_traces_is_one_line(tmp_path, capsys):
    assert main(["rescore", str(tmp_path)]) == 2
    assert "holds no traces (yet)" in said(capsys)
    assert main(["rescore", str(tmp_path / "gone")]) == 2
    assert "no such folder or file" in said(capsys)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_leaves_nothing_behind(make_run, tmp_path, workers):
    run = make_run([[[RIGHT, WRONG] * 20]] * 20)
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "out").mkdir()
    code = (
        "import sys; from rlvr.rescore import rows, run; rows._STEPS_AT_ONCE = 1; run._PORTIONS_EACH = 1\n"
        "from rlvr.cli import main\nif __name__ == '__main__': sys.exit(main())"
    )
    (tmp_path / "go.py").write_text(code)
    argv = [sys.executable, str(tmp_path / "go.py"), "rescore", str(run), "--reward", f"{tmp_path}/slow.py:slow"]
    argv += ["--workers", workers, "--output", str(tmp_path / "out" / "new.parquet")]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while not list((tmp_path / "out").iterdir()):
            time.sleep(0.05)
        time.sleep(1.5)
        os.killpg(process.pid, signal.SIGINT)
        _, error = process.communicate(timeout=10)
    assert process.returncode == 130 and error == "rlvr: interrupted\n"
    assert list((tmp_path / "out").iterdir()) == []
    until = time.monotonic() + 5
    while _alive(process.pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert _alive(process.pid) == []


def _alive(session):
    """The processes of a session that still do something."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, of_session, *_ = stat.read_text().rpartition(")")[2].split()
            found += [stat.parent.name] if int(of_session) == session and state != "Z" else []
    return found
