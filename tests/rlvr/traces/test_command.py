"""`rlvr traces`: what it shows, what it writes, and how it refuses."""

import json
import os

import pyarrow.parquet as pq

from rlvr.cli import main
from rlvr.traces.schema import SCHEMA
from rlvr.traces.store import TraceWriter, shards


def shown(capsys, *argv):
    assert main(["traces", *map(str, argv)]) == 0
    return capsys.readouterr().out


def refused(capsys, *argv):
    assert main(["traces", *map(str, argv)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


def line_of(text, first_cell):
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [first_cell])


def test_the_table_of_steps(run_folder, capsys):
    out = shown(capsys, run_folder, "--print")
    assert "grpo · train" in out
    assert "grpo · test" in out
    heads = ["step", "n", "reward", "correct", "format", "success", "zero-var", "tokens", "errors"]
    assert heads in [line.split() for line in out.splitlines()]
    assert line_of(out, "2") == ["2", "4", "0.250", "1.000", "–", "1.000", "50%", "3", "0%"]


def test_stage_and_split_narrow_it(run_folder, capsys):
    assert "train" not in shown(capsys, run_folder, "--split", "test").replace(str(run_folder), "")


def test_a_long_stage_is_shown_at_steps_evenly_apart(run_folder, row, capsys):
    writer = TraceWriter(run_folder / "traces", "long", "train")
    for step in range(1, 101):
        writer.write(step, [row(step=step)])
    out = shown(capsys, run_folder, "--stage", "long")
    steps = [int(line.split()[0]) for line in out.splitlines() if line.split() and line.split()[0].isdigit()]
    assert "30 of 100 steps" in out
    assert (steps[0], steps[-1], len(steps)) == (1, 100, 30)


def test_the_groups_of_a_step(run_folder, capsys):
    out = shown(capsys, run_folder, "--step", "2")
    assert line_of(out, "0")[1:4] == ["t0", "2", "0.000"]
    assert line_of(out, "1")[1:4] == ["t0", "2", "0.500"]


def test_the_completions_of_a_group(run_folder, capsys):
    out = shown(capsys, run_folder, "--step", "2", "--group", "1")
    for said in ("3+4=?", "<answer>7</answer>", "sample 0", "sample 1", "advantage -0.500", "advantage +0.500"):
        assert said in out
    assert "correct 1, format –" in out
    assert "solved · stop, 3 tokens" in out
    lines = [line.strip() for line in out.splitlines()]
    assert lines[lines.index("think") + 1] == "<think>3+4</think>"
    assert lines[lines.index("answer") + 1] == "<answer>7</answer>"


def test_errors_and_the_reason_why_one_was_not_kept_are_shown(run_folder, row, capsys):
    failed = row(step=9, errors={"correct": "ValueError: boom"}, kept=False, why_not_kept="it failed", reward=None)
    TraceWriter(run_folder / "traces", "grpo", "train").write(9, [failed])
    out = shown(capsys, run_folder, "--step", "9", "--group", "0")
    assert "error in correct: ValueError: boom" in out
    assert "not kept: it failed" in out
    assert "reward –" in out


def test_a_shard_cut_short_is_skipped_with_a_message(run_folder, capsys):
    path = shards(run_folder / "traces", "grpo", "train", 1)[0].path
    path.write_bytes(path.read_bytes()[:100])
    assert main(["traces", str(run_folder), "--stage", "grpo", "--split", "train"]) == 0
    said = capsys.readouterr()
    assert f"skipped {path.name}" in said.err
    assert line_of(said.out, "2")[1] == "4"
    assert main(["traces", str(run_folder), "--step", "1", "--group", "0"]) == 2
    assert "no group 0; it has: none that can be read" in capsys.readouterr().err


def test_the_newest_run_is_the_default_and_a_name_is_enough(run_folder, row, capsys, monkeypatch):
    runs = run_folder.parent
    TraceWriter(runs / "newer" / "traces", "dpo", "train").write(1, [row()])
    os.utime(runs / "newer", (4e9, 4e9))
    monkeypatch.chdir(runs.parent)
    assert "dpo · train" in shown(capsys)
    assert "grpo · train" in shown(capsys, "probe")


def test_a_folder_of_traces_without_a_run_is_enough(run_folder, capsys):
    assert "grpo · train" in shown(capsys, run_folder / "traces")


def test_mistakes_are_one_clear_line(run_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path / "runs")
    assert "no run under runs/" in refused(capsys)
    assert "no such folder" in refused(capsys, "nowhere")
    (tmp_path / "empty").mkdir()
    assert "holds no traces" in refused(capsys, tmp_path / "empty")
    assert "has no traces of --step 7" in refused(capsys, run_folder, "--step", "7")
    assert "grpo train (steps 1 to 2)" in refused(capsys, run_folder, "--stage", "gpro")
    assert "has no group 5; it has: 0 to 1" in refused(capsys, run_folder, "--step", "1", "--group", "5")
    assert "needs the --step" in refused(capsys, run_folder, "--group", "1")


def test_a_step_of_several_stages_asks_which(run_folder, row, capsys):
    TraceWriter(run_folder / "traces", "sft", "test").write(0, [row()])
    assert "--stage sft --split test" in refused(capsys, run_folder, "--step", "0")
    assert "sft · test · step 0" in shown(capsys, run_folder, "--step", "0", "--stage", "sft")


def test_export_as_json_lines(run_folder, tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    shown(capsys, run_folder, "--split", "train", "--export", out)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 8
    assert list(rows[0]) == SCHEMA.names
    assert rows[0]["task"] == {"question": "3+4", "answer": "7"}
    assert rows[0]["parts"] == {"correct": 1.0, "format": None}


def test_export_as_parquet_of_one_group(run_folder, tmp_path, capsys):
    out = tmp_path / "rows.parquet"
    shown(capsys, run_folder, "--step", "2", "--group", "1", "--export", out)
    table = pq.read_table(out)
    assert table.schema.equals(SCHEMA)
    assert table["sample"].to_pylist() == [0, 1]


def test_export_refuses_what_exists_what_it_cannot_write_and_nothing(run_folder, tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    out.write_text("mine")
    assert "--force" in refused(capsys, run_folder, "--export", out)
    assert out.read_text() == "mine"
    shown(capsys, run_folder, "--export", out, "--force")
    assert out.read_text() != "mine"
    assert ".jsonl or .parquet" in refused(capsys, run_folder, "--export", tmp_path / "rows.csv")
    assert "nothing to export" in refused(capsys, run_folder, "--group", "9", "--export", tmp_path / "none.jsonl")
    assert not (tmp_path / "none.jsonl").exists()
