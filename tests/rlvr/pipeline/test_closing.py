"""The table that a run ends with: in the manifest and on the screen, the same differences as the evaluations say."""

import io
import json

import pytest
from rich.console import Console

from rlvr.evaluation.recalled import Recalled, recalled_difference
from rlvr.pipeline.closing import show_closing
from rlvr.pipeline.metrics import num_tokens

ROW = {
    "stage": "a-stage-with-a-name",
    "kind": "grpo",
    "metric": "optimum_ratio",
    "mean": 0.5,
    "ci_low": 0.4,
    "ci_high": 0.6,
    "n": 500,
    "before": "sft",
    "difference": -0.25,
    "difference_low": -0.35,
    "difference_high": -0.15,
    "tokens": 12_345_678,
    "seconds": 3600.0,
    "peak_memory": {"cpu": 5 * 2**30, "gpu": 60 * 2**30},
}


def table_of(run):
    return json.loads((run.run_dir / "manifest.json").read_text())["table"]


def test_a_run_ends_with_a_row_for_each_stage(finished):
    rows = {row["stage"]: row for row in table_of(finished)}
    assert [*rows] == ["sft", "grpo", "evaluate"]
    results = {
        (row["stage"], row["metric"]): row for row in json.loads((finished.run_dir / "results.json").read_text())
    }
    for stage in ("sft", "grpo"):
        found = results[(stage, "success")]
        assert [rows[stage][key] for key in ("mean", "ci_low", "ci_high")] == [
            found[key] for key in ("mean", "ci_low", "ci_high")
        ]
    change = results[("grpo", "success-sft")]
    assert (rows["grpo"]["before"], rows["grpo"]["difference"]) == ("sft", change["mean"])
    assert rows["sft"]["difference"] is None and rows["evaluate"]["mean"] is None
    assert all(row["tokens"] > 0 and row["seconds"] > 0 and row["peak_memory"]["cpu"] > 2**20 for row in rows.values())


@pytest.mark.parametrize("metric", ["success", "score"])
def test_a_difference_recalled_from_traces_is_that_of_the_evaluation(finished, metric):
    results = json.loads((finished.run_dir / "results.json").read_text())
    row = next(row for row in results if row["stage"] == "grpo" and row["metric"] == f"{metric}-sft")
    ours, theirs = (Recalled(finished.run_dir / "traces", stage, "test") for stage in ("grpo", "sft"))
    found = recalled_difference(ours, theirs, metric, 0)
    assert found is not None
    assert (found.mean, found.ci_low, found.ci_high, found.n) == (row["mean"], row["ci_low"], row["ci_high"], row["n"])


def test_stages_that_are_evaluated_apart_are_compared_all_the_same(workshop, said):
    config = workshop.path / "run.toml"
    head, evaluate, settings = config.read_text().partition('[[stage]]\nkind = "evaluate"\n')
    sft, grpo = head.split('[[stage]]\nkind = "grpo"\n')
    each = evaluate + settings.replace('["sft", "grpo"]', '["NAME"]') + 'metrics = ["score"]\nname = "of-NAME"\n'
    apart = sft + each.replace("NAME", "sft") + '[[stage]]\nkind = "grpo"\n' + grpo + each.replace("NAME", "grpo")
    config.write_text(apart)
    assert workshop.run() == 0
    rows = {row["stage"]: row for row in table_of(workshop)}
    assert [*rows] == ["sft", "of-sft", "grpo", "of-grpo"]
    assert rows["grpo"]["before"] == "sft" and rows["grpo"]["metric"] == "score"
    assert rows["grpo"]["difference"] == pytest.approx(rows["grpo"]["mean"] - rows["sft"]["mean"])
    printed = said()
    assert "the run, stage by stage" in printed and "Δ before" in printed
    assert "done in " in printed
    assert workshop.run() == 0
    assert " since it was started again); float32" in said()


@pytest.mark.parametrize("width", [80, 120])
def test_no_number_of_the_table_is_cut(width):
    out = io.StringIO()
    show_closing(Console(file=out, width=width, color_system=None), [ROW, {**ROW, "stage": "sft", "tokens": None}])
    printed = out.getvalue()
    assert "\n".join(printed.splitlines()).count("…") == 4
    assert "optimum_ratio on 500 tasks\n" in printed
    for cell in ("0.500", "0.400…0.600", "-0.250", "-0.350…-0.150", "12.3 M", "60.0 min", "60.0 GiB"):
        assert cell in printed


def test_scores_of_other_tasks_are_told_apart():
    out = io.StringIO()
    rows = [{**ROW, "stage": "sft"}, {**ROW, "stage": "grpo"}, {**ROW, "stage": "grpo-Q8_0", "n": 40}]
    show_closing(Console(file=out, width=100, color_system=None), [*rows, {**ROW, "stage": "export", "n": None}])
    assert "optimum_ratio on 500 tasks (sft, grpo), on 40 (grpo-Q8_0)\n" in out.getvalue()


def test_tokens_are_counted_over_tries():
    lines = [{"num_tokens": count} for count in (10, 20, 30, 8, 16)]  # SFT's count starts anew when it goes on
    assert num_tokens(lines) == 46
    assert num_tokens([{"loss": 1.0}]) is None
