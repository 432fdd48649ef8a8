"""A run of arithmetic, written as the trainer writes it."""

import pytest

pytest.importorskip("pyarrow", reason="needs the train extra")

from rlvr.traces.store import TraceWriter
from rlvr_rewards import parse_reward

from .known import REWARD, group_rows

CONFIG = """
[env]
name = "arithmetic"
[reward]
expression = "{reward}"
[[stage]]
kind = "grpo"
{settings}
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """What is cached outside of a run's folder stays with the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def make_run(tmp_path):
    """Writes a run of some steps, each a list of groups, each the texts of its completions."""

    def make(steps, reward=REWARD, settings="", name="probe"):
        folder = tmp_path / "runs" / name
        node = parse_reward(reward)
        writer = TraceWriter(folder / "traces", "grpo", "train")
        for step, groups in enumerate(steps, start=1):
            rows = [group_rows(node, texts, step=step, group=number) for number, texts in enumerate(groups)]
            writer.write(step, [each for group in rows for each in group])
        (folder / "config.toml").write_text(CONFIG.format(reward=reward, settings=settings))
        return folder

    return make
