"""Training under rewards that wait and that run in worker processes: in the main thread, in a thread, within a rank."""

from pathlib import Path

import pytest

from rlvr_rewards.discovery import load_file
from rlvr_rewards.pool import _Pool
from tests.rlvr.engine.conftest import trained
from tests.rlvr.engine.test_trainer import completions, rows_of

theirs = load_file(Path(__file__).parents[2] / "rewards" / "running_rewards.py")


@pytest.mark.parametrize("beside", [False, True], ids=["main thread", "score_beside"])
def test_a_step_under_parts_of_every_kind(make_trainer, tasks, tmp_path, beside):
    total = theirs.fickle + theirs.waits_briefly + theirs.awaits_briefly
    trained(make_trainer(total, texts=completions(tasks), score_beside=beside, beta=0.1))
    rows = rows_of(tmp_path)
    assert {row["reward"] for row in rows} == {2.5}
    assert all(dict(row["parts"]) == {"fickle": 0.5, "waits_briefly": 1.0, "awaits_briefly": 1.0} for row in rows)


def test_a_completion_past_its_deadline_is_left_out_and_says_why(make_trainer, tasks, tmp_path):
    texts = ["hang", *completions(tasks)[1:]]
    trained(make_trainer(theirs.fickle.using(deadline_s=0.5), texts=texts))
    first, *others = rows_of(tmp_path)
    assert (first["reward"], first["kept"], first["advantage"]) == (None, False, 0.0)
    assert "took over 0.5 s" in dict(first["errors"])["fickle"]
    assert {row["reward"] for row in others} == {0.5}


def test_the_processes_of_a_run_share_the_cores(monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1000")
    assert _Pool().size == 1
    monkeypatch.setenv("RLVR_REWARD_WORKERS", "3")
    assert _Pool().size == 3
