"""Demonstrations from a JSONL: each form is read, and a line that is none is named."""

import json

import pytest

from rlvr.models.demonstrations import read_demonstrations
from rlvr_rewards import UserError

CONVERSATION = [{"role": "user", "content": "3+4=?"}, {"role": "assistant", "content": "7"}]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": CONVERSATION, "source": "mine"},
        {"prompt": "3+4=?", "completion": "7"},
        {"prompt": CONVERSATION[:1], "completion": CONVERSATION[1:]},
    ],
)
def test_each_form_gives_the_same_conversation(tmp_path, row):
    path = tmp_path / "demos.jsonl"
    path.write_text(json.dumps(row) + "\n")
    assert list(read_demonstrations(path)) == [CONVERSATION]


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"prompt": "3+4=?"},
        {"messages": CONVERSATION[:1]},
        {"messages": CONVERSATION[::-1]},
        {"messages": "7"},
        {"prompt": 3, "completion": 7},
    ],
)
def test_a_line_that_is_no_demonstration_is_named(tmp_path, row):
    path = tmp_path / "demos.jsonl"
    path.write_text(json.dumps({"messages": CONVERSATION}) + "\n" + json.dumps(row) + "\n")
    with pytest.raises(UserError, match=r"demos\.jsonl line 2: no demonstration"):
        list(read_demonstrations(path))
