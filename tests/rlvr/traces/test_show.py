"""The tables of `rlvr traces`."""

import io

import pytest
from rich.console import Console

pytest.importorskip("pyarrow", reason="needs the train extra")

from rlvr.traces.show import summary_table
from rlvr.traces.summary import Summary


@pytest.mark.parametrize(("paid", "columns"), [(0.5, 1), (0.25, 2)])
def test_a_reward_that_pays_for_success_shows_it_once(paid, columns):
    """A part of that name which says something else, such as one that failed now and then, stays."""
    summary = Summary(8, 1.0, {"format": 1.0, "success": paid}, 0.5, 0.0, 20.0, 0.0)
    out = io.StringIO()
    Console(file=out, width=120).print(summary_table("grpo", ["step"], [([1], summary)]))
    heads = next(line for line in out.getvalue().splitlines() if "reward" in line)
    assert heads.split().count("success") == columns
    assert "format" in heads
