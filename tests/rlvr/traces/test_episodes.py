"""Episodes of several turns on a trace: read, printed, exported, and with heat over what the model said alone."""

import io

import pytest
from rich.console import Console

pytest.importorskip("pyarrow", reason="needs the train extra")

from rlvr.traces.html import write_html
from rlvr.traces.index import TraceIndex
from rlvr.traces.rows import row_of
from rlvr.traces.show import show_group
from rlvr.traces.store import TraceWriter, read_shard
from rlvr.traces.summary import row_dicts

SPELLED = {0: b"<g>", 1: b"4", 2: b"7", 3: b"<end>", 4: b"higher"}
TURNS = [
    {"role": "assistant", "content": "<g>4", "tokens": [0, 3]},
    {"role": "user", "content": "higher", "tokens": [3, 5]},
    {"role": "assistant", "content": "<g>7", "tokens": [5, 8]},
]
EPISODE = {
    "completion": "<g>4\n<g>7",
    "turns": TURNS,
    "token_ids": [0, 1, 3, 4, 3, 0, 2, 3],
    "logprobs": [-0.1, -3.0, -0.1, None, None, -0.1, -5.0, -0.1],
}


@pytest.fixture
def folder(tmp_path, row):
    TraceWriter(tmp_path / "traces", "grpo", "train").write(1, [row(**EPISODE)])
    return tmp_path


@pytest.fixture
def read(folder):
    table = read_shard(next((folder / "traces").glob("*.parquet")))
    return row_dicts(table)[0]


def test_its_own_tokens_are_counted_and_a_reply_has_no_log_prob(read):
    assert read["completion_tokens"] == 6
    assert [logprob is None for logprob in read["logprobs"]] == [False, False, False, True, True, False, False, False]
    assert [turn["content"] for turn in row_of(read).episode] == ["<g>4", "higher", "<g>7"]


def test_turns_beside_a_completion_of_another_text_are_no_episode(read):
    assert row_of({**read, "completion": "look 7"}).episode == []


def test_it_is_printed_turn_by_turn(read):
    out = io.StringIO()
    show_group(Console(file=out, width=80, color_system=None), "group", [read])
    lines = out.getvalue().splitlines()
    at = lines.index("assistant")
    assert lines[at : at + 6] == ["assistant", "<g>4", "reply of user", "higher", "assistant", "<g>7"]


def test_the_page_holds_every_turn(folder):
    out = io.BytesIO()
    write_html(TraceIndex.open(folder), out)
    assert b'"episode":true' in out.getvalue() and b'"content":"higher"' in out.getvalue()


def test_heat_is_over_what_the_model_said(read):
    pytest.importorskip("textual", reason="needs the tui extra")
    from rlvr.tui.heat import Heat, heat_runs, token_line
    from rlvr.tui.tokens import Vocabulary, token_spans

    row = row_of(read)
    spans = token_spans(Vocabulary(SPELLED, frozenset({3})), row)
    assert spans is not None
    assert [row.completion[start:end] for start, end in spans] == ["<g>", "4", "", "", "", "<g>", "7", ""]
    blocks = list(heat_runs(row, Heat.LOGPROB, spans))
    assert ["".join(text for text, _, _ in block.runs) for block in blocks] == ["<g>4", "higher", "<g>7"]
    assert [(text, names) for text, names, token in blocks[2].runs if token >= 0] == [("<g>", "heat1"), ("7", "heat5")]
    assert all(not names.startswith("heat") for _, names, _ in blocks[1].runs)
    assert "log-prob" not in "".join(text for text, _ in token_line(row, 3, spans))
