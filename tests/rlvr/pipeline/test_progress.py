"""What a training stage shows while it runs, on terminals of several widths and without one."""

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from rlvr.pipeline.progress import ProgressCallback

SHOWN = {
    "reward": "reward",
    "parts/*": "",
    "frac_reward_zero_std": "zero-variance",
    "completions/mean_length": "tokens",
    "completions_per_s": "completions/s",
}
LOGS = {
    "reward": 0.53125,
    "parts/format": 1.0,
    "parts/optimum_ratio": 0.25,
    "parts/success": 0.125,
    "frac_reward_zero_std": 0.5,
    "completions/mean_length": 41.03,
    "completions_per_s": 512.3,
}


def shown(width, terminal, steps=(149, 150)):
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=terminal, color_system=None)
    progress: Any = ProgressCallback(console, "grpo", SHOWN)
    progress.on_train_begin(None, SimpleNamespace(max_steps=150, global_step=140), None)
    for step in steps:
        state = SimpleNamespace(max_steps=150, global_step=step)
        progress.on_step_end(None, state, None)
        progress.on_log(None, state, None, logs=LOGS)
    progress.close()
    return out.getvalue().replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_on_a_terminal_nothing_is_cut_and_no_number_is_torn_from_its_name(width):
    printed = shown(width, terminal=True)
    lines = printed.splitlines()
    assert "…" not in printed and any("150/150" in line and " left " in line for line in lines)
    facts = [
        "reward 0.531",
        "format 1.000",
        "optimum_ratio 0.250",
        "success 0.125",
        "zero-variance 0.500",
        "tokens 41.0",
        "completions/s 512.3",
    ]
    for fact in facts:
        assert any(fact in line for line in lines)


def test_without_a_terminal_there_are_ten_lines_a_stage():
    lines = shown(80, terminal=False, steps=range(1, 151)).splitlines()
    assert sum(line.startswith("  grpo ") for line in lines) == 10
