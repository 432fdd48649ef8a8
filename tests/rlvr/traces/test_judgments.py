"""Judgments beside a run, and what is exported of them."""

import json
import subprocess
import sys

import pytest

from rlvr.cli import main
from rlvr.traces.index import GroupKey, TraceIndex
from rlvr.traces.judgments import Judgments, Mark
from rlvr.traces.preferences import write_pairs, write_sft
from rlvr.traces.store import TraceWriter
from rlvr_rewards import UserError

KEY = GroupKey("grpo", "train", 1, 1)


@pytest.fixture
def run(tmp_path, row):
    rows = [row(group=g, sample=n, completion=f"answer {g}.{n}\u202e") for g in (0, 1) for n in range(3)]
    TraceWriter(tmp_path / "traces", "grpo", "train").write(1, rows)
    return TraceIndex.open(tmp_path)


def test_judgments_are_kept_beside_the_run_and_read_back(run):
    first, second, third = run.rows(KEY)
    judgments = Judgments(run.home)
    judgments.mark(first, Mark.GOOD)
    judgments.mark(second, Mark.GOOD)
    judgments.mark(second, Mark.BAD)
    judgments.note(third, "guesses\nthe number ")
    judgments.prefer(first, second)
    judgments.prefer(second, first)
    judgments.prefer(third, second)
    judgments.no_preference(second, third)
    for found in (judgments, Judgments(run.home)):
        assert [found.mark_of(each) for each in run.rows(KEY)] == [Mark.GOOD, Mark.BAD, None]
        assert found.note_of(third) == "guesses\nthe number"
        assert [(w.chosen.sample, w.rejected.sample) for w in found.winners_of(KEY)] == [(1, 0)]
    judgments.mark(first, None)
    judgments.note(third, " ")
    assert Judgments(run.home).marks.keys() == {next(iter(judgments.marks))}
    assert Judgments(run.home).notes == {}
    assert run.path.joinpath("traces").is_dir()
    assert sorted(path.name for path in run.path.iterdir()) == ["judgments.jsonl", "traces"]


def test_a_line_cut_short_costs_that_line_alone(run):
    first, second, _ = run.rows(KEY)
    judgments = Judgments(run.home)
    judgments.mark(first, Mark.GOOD)
    with judgments.path.open("ab") as file:
        file.write(b'{"kind": "mark", "sta')
    judgments = Judgments(run.home)
    assert judgments.num_unread == 1
    judgments.mark(second, Mark.BAD)
    again = Judgments(run.home)
    assert (again.mark_of(first), again.mark_of(second), again.num_unread) == (Mark.GOOD, Mark.BAD, 1)


def test_two_browsers_at_once_lose_nothing(run):
    code = """
import sys
from rlvr.traces.index import GroupKey, TraceIndex
from rlvr.traces.judgments import Judgments
index = TraceIndex.open(sys.argv[1])
row = index.rows(GroupKey("grpo", "train", 1, int(sys.argv[2])))[0]
judgments = Judgments(index.home)
for number in range(50):
    judgments.note(row, "x" * 5000 + str(number))
"""
    started = [subprocess.Popen([sys.executable, "-c", code, str(run.path), group]) for group in "01"]
    assert [process.wait(60) for process in started] == [0, 0]
    found = Judgments(run.home)
    assert (found.num_unread, len(found.path.read_bytes().splitlines())) == (0, 100)
    assert [note[-2:] for note in found.notes.values()] == ["49", "49"]


def test_a_folder_that_cannot_be_written_is_one_clear_line(run):
    (run.home / "judgments.jsonl").mkdir()
    with pytest.raises(UserError, match="cannot be written") as caught:
        Judgments(run.home).mark(run.rows(KEY)[0], Mark.GOOD)
    assert "\n" not in str(caught.value)
    (run.home / "filters.json").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        Judgments(run.home).save_filter("bad", "reward < 0.2")


def test_only_siblings_compare(run):
    with pytest.raises(UserError, match="one group"):
        Judgments(run.home).prefer(run.rows(KEY)[0], run.rows(GroupKey("grpo", "train", 1, 0))[1])


def test_filters_are_saved_by_name(run):
    judgments = Judgments(run.home)
    judgments.save_filter("low", "reward < 0.2")
    judgments.save_filter("long", "length > 100")
    judgments.save_filter("low", None)
    assert Judgments(run.home).filters() == {"long": "length > 100"}


def judged(run):
    first, second, third = run.rows(KEY)
    judgments = Judgments(run.home)
    judgments.prefer(first, second)
    judgments.mark(third, Mark.GOOD)
    judgments.mark(second, Mark.BAD)
    judgments.mark(first, Mark.BAD)
    return judgments


def test_pairs_are_what_dpo_reads(run, tmp_path, capsys):
    from rlvr.data.preferences import read_preferences
    from rlvr.data.sources import DataSource

    judged(run)
    out = tmp_path / "pairs.jsonl"
    assert main(["traces", str(run.path), "--export", str(out), "--as", "pairs"]) == 0
    assert "3 lines" in capsys.readouterr().err
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert lines[0] == {
        "prompt": [{"role": "user", "content": "3+4=?"}],
        "chosen": [{"role": "assistant", "content": "answer 1.0\u202e"}],
        "rejected": [{"role": "assistant", "content": "answer 1.1\u202e"}],
    }
    pairs = {(line["chosen"][0]["content"][:10], line["rejected"][0]["content"][:10]) for line in lines}
    assert pairs == {("answer 1.0", "answer 1.1"), ("answer 1.2", "answer 1.1"), ("answer 1.2", "answer 1.0")}
    preferences = list(read_preferences(DataSource(path=str(out))))
    assert [each.chosen[0]["content"][:10] for each in preferences] == ["answer 1.0", "answer 1.2", "answer 1.2"]


@pytest.mark.slow
def test_trl_takes_pairs_for_conversations(run, tmp_path):
    data_utils = pytest.importorskip("trl.data_utils", reason="needs the train extra")
    with (tmp_path / "out").open("wb") as file:
        write_pairs(run, judged(run), file)
    lines = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert lines
    assert all(data_utils.is_conversational(line) for line in lines)


def test_good_ones_are_what_sft_reads(run, tmp_path):
    from rlvr.data.forms import read_examples
    from rlvr.data.sources import DataSource

    judged(run)
    out = tmp_path / "sft.jsonl"
    assert main(["traces", str(run.path), "--export", str(out), "--as", "sft"]) == 0
    (example,) = read_examples(DataSource(path=str(out)))
    assert [message["role"] for message in example.messages] == ["user", "assistant"]
    assert example.messages[1]["content"] == "answer 1.2\u202e"


def test_several_turns_go_along(tmp_path, row):
    turns = [
        {"role": "assistant", "content": "look"},
        {"role": "tool", "content": "7"},
        {"role": "assistant", "content": "7"},
    ]
    TraceWriter(tmp_path / "traces", "grpo", "train").write(1, [row(turns=turns, completion="look 7")])
    index = TraceIndex.open(tmp_path)
    judgments = Judgments(index.home)
    judgments.mark(index.rows(GroupKey("grpo", "train", 1, 0))[0], Mark.GOOD)
    with (tmp_path / "out").open("wb") as file:
        assert write_sft(index, judgments, file).num_lines == 1
    assert json.loads((tmp_path / "out").read_text())["messages"][1:] == turns


def test_a_judgment_of_a_text_that_was_sampled_anew_is_not_taken_for_the_new_one(run, row, tmp_path):
    judgments = judged(run)
    rows = [row(group=g, sample=n, completion=f"other {g}.{n}") for g in (0, 1) for n in range(3)]
    TraceWriter(run.folder, "grpo", "train").write(1, rows)
    run.refresh()
    assert judgments.mark_of(run.rows(KEY)[2]) is None
    with (tmp_path / "out").open("wb") as file:
        done = write_pairs(run, judgments, file)
    assert (done.num_lines, done.num_gone) == (0, 3)


def test_nothing_judged_is_one_clear_line(run, tmp_path, capsys):
    assert main(["traces", str(run.path), "--export", str(tmp_path / "p.jsonl"), "--as", "pairs"]) == 2
    assert "pick a winner" in capsys.readouterr().err
    assert not (tmp_path / "p.jsonl").exists()
    assert main(["traces", str(run.path), "--as", "sft"]) == 2
    assert "needs --export" in capsys.readouterr().err
    assert main(["traces", str(run.path), "--export", str(tmp_path / "p.html"), "--as", "sft"]) == 2
    assert "must end with .jsonl" in capsys.readouterr().err
