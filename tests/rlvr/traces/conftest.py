"""Rows and run folders for the tests of traces."""

import pytest

pytest.importorskip("pyarrow", reason="needs the train extra")

from rlvr.traces.schema import TraceRow
from rlvr.traces.store import TraceWriter


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """What is cached outside of a run's folder stays with the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def row():
    """Makes a row; what is given replaces what it holds by default."""

    def make_row(**changes):
        values = {
            "run": "r",
            "stage": "grpo",
            "split": "train",
            "env": "arithmetic",
            "step": 1,
            "group": 0,
            "sample": 0,
            "task_id": "t0",
            "task": {"question": "3+4", "answer": "7"},
            "messages": [{"role": "user", "content": "3+4=?"}],
            "gold": "<answer>7</answer>",
            "completion": "<think>3+4</think><answer>7</answer>",
            "token_ids": [5, 6, 7],
            "logprobs": [-0.5, -0.25, 0.0],
            "finish_reason": "stop",
            "parts": {"correct": 1.0, "format": None},
            "errors": {},
            "reward": 1.0,
            "success": True,
            "seed": 2**63 - 1,
            "policy_version": 0,
            "prompt_tokens": 9,
            "sample_s": 0.5,
            "reward_s": 0.01,
            "time": 1.7e9,
        }
        return TraceRow(**{**values, **changes})

    return make_row


@pytest.fixture
def run_folder(tmp_path, row):
    """A run with two training steps of two groups of two, and an evaluation."""
    folder = tmp_path / "runs" / "probe"
    writer = TraceWriter(folder / "traces", "grpo", "train")
    for step in (1, 2):
        rows = [
            row(step=step, group=group, sample=sample, reward=float(group * sample), advantage=sample - 0.5)
            for group in (0, 1)
            for sample in (0, 1)
        ]
        writer.write(step, rows)
    TraceWriter(folder / "traces", "grpo", "test").write(0, [row(split="test", step=0)])
    return folder
