"""A run that was trained is scored again: what it recorded comes out, its advantages too, whatever their scaling."""

import pytest

pytest.importorskip("trl", reason="needs the train extra")

from rlvr.cli import main
from rlvr.rescore import rescore

REWARDS = """
from rlvr_rewards import reward

@reward
def length(completion: str) -> float:
    return len(completion) % 5 / 4

@reward
def vowels(completion: str, step: str = "") -> float:
    return float(sum(map(completion.count, "aeiou")) % 2)
"""
CONFIG = """
[env]
name = "arithmetic"
[reward]
expression = "linear(1.0, 2.0, steps=2) * '{file}:length' + 0.5 * '{file}:vowels'"
[[stage]]
kind = "grpo"
steps = 2
prompts_per_step = 3
group_size = 4
max_new_tokens = 8
extra_groups = 6
"""
SETTINGS = {
    "group": 'algorithm = "grpo"',
    "none": 'algorithm = "dr_grpo"',
    "batch": '[stage.trl]\nscale_rewards = "batch"',
    "whiten": 'algorithm = "gdpo"',
}


@pytest.mark.parametrize(
    "scaling", ["group", *(pytest.param(each, marks=pytest.mark.slow) for each in [*SETTINGS][1:])]
)
def test_what_a_run_recorded_comes_out_again(tiny_model, tmp_path, monkeypatch, scaling):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(REWARDS)
    (tmp_path / "run.toml").write_text(tiny_model + CONFIG.format(file="mine.py") + SETTINGS[scaling])
    assert main(["run", "run.toml", "--run-dir", "probe"]) == 0
    found = rescore("probe")
    assert found.scalings["grpo"] == scaling
    assert found.total.num_rows >= 24 and found.total.num_errors == 0
    assert found.total.reward.changed == found.total.groups.changed == 0
    assert (found.total.groups.checked, found.total.groups.off) == (24, 0)
    changed = rescore("probe", "'mine.py:vowels'")
    assert changed.total.reward.changed and changed.total.groups.replaced == found.total.groups.replaced
