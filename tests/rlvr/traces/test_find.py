"""Looking through all completions: what is found, in which order, how it stops."""

import pytest

from rlvr.traces.find import Sort, find, sort_names
from rlvr.traces.index import TraceIndex
from rlvr.traces.query import parse_filter
from rlvr.traces.search import Search, Where
from rlvr.traces.store import TraceWriter, shards
from rlvr_rewards import UserError

PROMPTS = ("What is 3+4?", "Größe von “x” in\nzwei Zeilen")


@pytest.fixture
def index(tmp_path, row):
    folder = tmp_path / "traces"
    for step in range(1, 41):
        rows = [
            row(
                step=step,
                group=group,
                sample=sample,
                reward=None if (step, group, sample) == (7, 1, 1) else step * 0.1 + sample,
                completion=f"step {step}: {'WAIT' if step % 2 else 'go'} a+b \\E" + "x" * sample,
                messages=[{"role": "user", "content": PROMPTS[group]}],
            )
            for group in (1, 0)
            for sample in (1, 0)
        ]
        TraceWriter(folder, "grpo", "train").write(step, rows)
    TraceWriter(folder, "sft", "test").write(0, [row(step=0, stage="sft", reward=9.0)])
    index = TraceIndex.open(tmp_path)
    index.refresh()
    return index


def places(found):
    return [(ref.key.step, ref.key.group, ref.sample) for ref in found]


def test_everything_comes_in_order_where_nothing_is_asked(index):
    found = find(index)
    assert (len(found), found.num_scanned, found.is_whole) == (161, 161, True)
    assert places(found[:5]) == [(1, 0, 0), (1, 0, 1), (1, 1, 0), (1, 1, 1), (2, 0, 0)]
    assert found[-1].key.stage == "sft"


def test_a_filter_finds_rows_that_can_be_read(index):
    found = find(index, parse_filter("reward >= 4 and sample == 1 and stage == 'grpo'"))
    assert places(found)[:2] == [(30, 0, 1), (30, 1, 1)]
    assert all(ref.sample == 1 for ref in found)
    ref = found[3]
    assert index.rows(ref.key)[ref.sample].completion == "step 31: WAIT a+b \\Ex"
    assert places(find(index, parse_filter("reward is none"))) == [(7, 1, 1)]


@pytest.mark.parametrize(
    ("search", "count"),
    [
        (Search("wait"), 80),
        (Search("wait", ignore_case=False), 0),
        (Search("a+b"), 160),  # plain text, not a pattern
        (Search("a+b", regex=True), 0),
        (Search("b \\E"), 160),
        (Search(r"step (7|8):", regex=True), 8),
        (Search("3+4?", where=Where.PROMPTS), 80),
        (Search("größe", where=Where.PROMPTS), 80),
        (Search("“x” in\nzwei", where=Where.PROMPTS), 80),
        (Search("role", where=Where.PROMPTS), 0),  # the JSON around the prompt
        (Search("^What", regex=True, where=Where.BOTH), 80),
        (Search("step 7:", where=Where.BOTH), 4),
    ],
)
def test_a_text_is_found(index, search, count):
    assert len(find(index, parse_filter("stage == 'grpo'"), search)) == count


def test_where_a_text_stands_in_what_is_shown():
    assert Search("aB").spans("xabAB") == [(1, 3), (3, 5)]
    assert Search("a*", regex=True).spans("baa") == [(1, 3)]
    assert Search("x|AB", regex=True).spans("日xab\ue000ab") == [(1, 2), (2, 4), (5, 7)]
    assert Search("(a+)+$", regex=True).spans("a" * 30_000 + "!") == []  # for ever, where one goes back and tries again


def test_a_bad_pattern_or_nothing_to_search_is_one_clear_line():
    with pytest.raises(UserError, match="no regular expression"):
        Search("(", regex=True)
    with pytest.raises(UserError, match="type a text"):
        Search("")


def test_sorted_by_any_field_those_without_a_value_last(index):
    asked = parse_filter("step < 8 and stage == 'grpo'")
    up = find(index, asked, sort=Sort("reward"))
    assert places(up)[:2] == [(1, 0, 0), (1, 1, 0)]
    assert places(up)[-1] == (7, 1, 1)
    down = find(index, asked, sort=Sort("reward", descending=True))
    assert places(down)[0] == (7, 0, 1)
    assert places(down)[-1] == (7, 1, 1)
    assert find(index, sort=Sort("chars", descending=True))[0].key.stage == "sft"  # the longest
    assert len(find(index, sort=Sort("parts.nothing"))) == 161
    assert find(index, sort=Sort("stage", descending=True))[0].key.stage == "sft"
    for name in sort_names(["correct"]):
        assert len(find(index, sort=Sort(name, descending=True))) == 161
    with pytest.raises(UserError, match="did you mean reward"):
        Sort("rewrad")


def test_it_says_how_far_it_is_and_stops_when_asked(index, monkeypatch):
    monkeypatch.setattr("rlvr.traces.scan._FILES_AT_ONCE", 2)
    seen = []
    found = find(index, progress=lambda *done: seen.append(done), cancelled=lambda: len(seen) == 3)
    assert seen == [(1, 21), (2, 21), (3, 21)]
    assert (len(found), found.is_whole) == (24, False)
    some = find(index, limit=10)
    assert (len(some), some.is_whole) == (10, False)


def test_a_large_file_is_looked_through_in_parts(tmp_path, row, monkeypatch):
    monkeypatch.setattr("rlvr.traces.reading._ROW_GROUP_BYTES", 1)
    monkeypatch.setattr("rlvr.traces.scan._BYTES_AT_ONCE", 2000)
    rows = [row(group=n // 4, sample=n % 4, reward=float(n)) for n in range(400)]
    TraceWriter(tmp_path / "traces", "grpo", "train").write(1, rows)
    index = TraceIndex.open(tmp_path)
    seen = []
    found = find(index, parse_filter("reward >= 390"), progress=lambda *done: seen.append(done))
    assert places(found) == [(1, n // 4, n % 4) for n in range(390, 400)]
    assert (found.num_scanned, len(seen) > 1) == (400, True)


def test_a_damaged_shard_is_passed_over(index):
    path = shards(index.folder, step=5)[0].path
    path.write_bytes(path.read_bytes()[:-40])
    assert len(find(index)) == 157
