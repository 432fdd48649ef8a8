"""Demonstrations and preferences from files: each kind and each form is read, and a row that is none is named."""

import csv
import json

import pytest

from rlvr.data.forms import read_examples
from rlvr.data.preferences import read_preferences
from rlvr.data.sources import DataSource
from rlvr_rewards import UserError

ASKED, SAID, WORSE = (
    {"role": "user", "content": "3+4=?"},
    {"role": "assistant", "content": "7"},
    {"role": "assistant", "content": "8"},
)


def written(path, rows):
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".parquet":
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return DataSource(path=str(path))


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet", ".csv"])
def test_each_kind_of_file_gives_the_same_examples(tmp_path, suffix):
    """In a CSV an answer that looks like a number stays text."""
    found = list(read_examples(written(tmp_path / f"demos{suffix}", [{"prompt": "3+4=?", "completion": "7"}])))
    assert [example.messages for example in found] == [(ASKED, SAID)]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [ASKED, SAID], "source": "mine"},
        {"conversations": [{"from": "human", "value": "3+4=?"}, {"from": "gpt", "value": "7"}]},
        {"prompt": "3+4=?", "completion": "7"},
        {"prompt": [ASKED], "completion": [SAID]},
    ],
)
def test_each_form_gives_the_same_conversation(tmp_path, row):
    (example,) = read_examples(written(tmp_path / "demos.jsonl", [row]))
    assert example.messages == (ASKED, SAID) and example.num_prompt == 1


def test_text_channels_and_renamed_columns(tmp_path):
    source = written(tmp_path / "a.jsonl", [{"text": "once", "task_type": "tale"}, {"text": "twice"}])
    first, second = read_examples(source.model_copy(update={"channel": "other"}))
    assert (first.text, first.channel, second.channel) == ("once", "tale", "other")
    source = written(tmp_path / "b.jsonl", [{"question": "3+4=?", "answer": "7"}])
    columns = {"prompt": "question", "completion": "answer"}
    assert next(read_examples(source.model_copy(update={"columns": columns}))).messages == (ASKED, SAID)


def test_a_folder_is_read_file_by_file(tmp_path):
    written(tmp_path / "b.csv", [{"text": "two"}])
    written(tmp_path / "a.jsonl", [{"text": "one"}])
    assert [example.text for example in read_examples(DataSource(path=str(tmp_path)))] == ["one", "two"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({}, "it has no column: give messages, prompt and completion, or text"),
        ({"question": "3+4=?"}, "it has question: give messages"),
        ({"prompt": "3+4=?"}, "it has no 'completion'"),
        ({"messages": [ASKED]}, "must hold a prompt, and end with the assistant's turn"),
        ({"messages": [SAID, ASKED]}, "must hold a prompt, and end with the assistant's turn"),
        ({"messages": "7"}, "its messages is no list of messages"),
        ({"messages": [ASKED, {"role": "assistant"}]}, "message 2 of its messages needs a role and a content"),
        ({"prompt": 3, "completion": 7}, "its prompt is no list of messages, and no text"),
        ({"prompt": "3+4=?", "completion": " "}, "its completion is empty"),
        ({"text": ""}, "its text is empty"),
    ],
)
def test_a_line_that_is_no_demonstration_is_named_with_the_mend(tmp_path, row, says):
    source = written(tmp_path / "demos.jsonl", [{"messages": [ASKED, SAID]}, row])
    with pytest.raises(UserError, match=r"demos\.jsonl line 2: ") as error:
        list(read_examples(source))
    assert says in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "3+4=?", "chosen": "7", "rejected": "8"},
        {"prompt": [ASKED], "chosen": [SAID], "rejected": [WORSE]},
        {"chosen": [ASKED, SAID], "rejected": [ASKED, WORSE]},
        {"prompt": "3+4=?", "chosen": [ASKED, SAID], "rejected": [ASKED, WORSE]},
    ],
)
def test_each_form_gives_the_same_preference(tmp_path, row):
    (found,) = read_preferences(written(tmp_path / "pairs.jsonl", [row]))
    assert (found.prompt, found.chosen, found.rejected) == ((ASKED,), (SAID,), (WORSE,))


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prompt": "3+4=?", "chosen": "7"}, "it has no 'rejected', only prompt, chosen: name it"),
        ({"chosen": "7", "rejected": "8"}, "it has no 'prompt'"),
        ({"prompt": "3+4=?", "chosen": "7", "rejected": "7 "}, "its chosen and rejected are the same"),
        ({"prompt": "3+4=?", "chosen": "", "rejected": "8"}, "its chosen is empty"),
        ({"prompt": "3+4=?", "chosen": "7", "rejected": "\n"}, "its rejected is empty"),
        ({"chosen": [ASKED, SAID], "rejected": [{**ASKED, "content": "1+1=?"}, WORSE]}, "do not begin alike"),
    ],
)
def test_a_line_that_is_no_preference_is_named_with_the_mend(tmp_path, row, says):
    good = {"prompt": "3+4=?", "chosen": "7", "rejected": "8"}
    with pytest.raises(UserError, match=r"pairs\.jsonl line 2: ") as error:
        list(read_preferences(written(tmp_path / "pairs.jsonl", [good, row])))
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.jsonl", None, "no such file"),
        ("none", None, "no such file"),
        ("a.jsonl", "", "the file is empty"),
        ("a.json", '{"text": "x"}', "a list of objects is needed"),
        ("a.json", '{"text": "x"}\n{"text": "y"}', "one object a line is a .jsonl"),
        ("a.json", "[]", "it holds no row"),
        ("a.parquet", "no parquet", "not a whole parquet file"),
        ("a.csv", "prompt,completion\nonly one\n", "it has not as many fields"),
        ("a.txt", "text", ".txt: write it as .jsonl"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, content, says):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError) as error:
        list(read_examples(DataSource(path=str(tmp_path / name))))
    assert says in str(error.value) and name in str(error.value)


def test_a_set_that_is_neither_here_nor_on_the_hub_is_one_line(monkeypatch):
    pytest.importorskip("datasets")
    from datasets import config
    from huggingface_hub import constants

    for module in (constants, config):
        monkeypatch.setattr(module, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="data nobody/nothing-here: not to be had from the hub, and no such file here"):
        next(read_examples(DataSource(path="nobody/nothing-here")))
