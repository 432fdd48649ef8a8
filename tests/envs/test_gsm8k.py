"""GSM8K: the real rows where they are, the answers that must not succeed, and files that cannot be read."""

import sys
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest

from rlvr_envs import make
from rlvr_envs.jsonl import read_jsonl
from rlvr_rewards import UserError

DATA = Path(__file__).parents[3] / "shared" / "data" / "gsm8k"
real = pytest.mark.skipif(not DATA.is_dir(), reason="no GSM8K rows at ../shared/data/gsm8k")
TASK = {"question": "What is 34 + 38?", "answer": "34+38 = <<34+38=72>>72\n#### 72"}
GSM8K = make("gsm8k")


def rows_of(split):
    environment = make("gsm8k", path=str(DATA))
    return environment, list(environment.rows(split, 0))


@real
@pytest.mark.parametrize(("split", "count"), [("train", 7473), ("test", 1319)])
def test_every_real_gold_wins_and_no_other_rows_does(split, count):
    environment, tasks = rows_of(split)
    assert len(tasks) == count
    golds = [environment.gold(task) for task in tasks]
    assert not any("<<" in gold or ">>" in gold for gold in golds)
    for task, gold in zip(tasks, golds, strict=True):
        assert environment.score(task, gold).reward == environment.reward.max
        assert environment.success(task, gold)
    crossed = 0
    for task, other, gold in zip(tasks, tasks[1:] + tasks[:1], golds[1:] + golds[:1], strict=True):
        if task["answer"].rpartition("####")[2] != other["answer"].rpartition("####")[2]:
            crossed += 1
            assert not environment.success(task, gold)
            assert environment.score(task, gold).parts == {"correct": 0.0, "format": 1.0}
    assert crossed > 0.9 * count


@real
def test_no_real_question_is_in_both_splits_or_twice_in_one():
    ids = {}
    for split in ("train", "test"):
        environment, tasks = rows_of(split)
        ids[split] = {environment.task_id(task) for task in tasks}
        assert len(ids[split]) == sum(1 for _ in read_jsonl(DATA / f"{split}.jsonl"))
    assert not ids["train"] & ids["test"]


def test_gold_is_the_rationale_without_marks_then_the_number():
    assert GSM8K.gold(TASK) == "<think>\n34+38 = 72\n</think>\n<answer>72</answer>"


@pytest.mark.parametrize(
    "completion",
    [
        "72",
        "#### 72",
        "The answer is 72.",
        "<think>72</think> 72",
        "<think><answer>72</answer></think>",
        "<think>34+38 <answer>72</answer>",
        "<answer>72</answer><answer>71</answer>",
        "<answer>72</answer> or rather <answer>72</answer>",
        "<answer><<34+38=72>></answer>",
        "<answer>34+38</answer>",
        "<answer>71</answer>",
        "<answer>72",
        "<answer></answer>",
    ],
)
def test_these_do_not_succeed(completion):
    assert not GSM8K.success(TASK, completion)
    assert GSM8K.score(TASK, completion).parts["correct"] == 0.0


@pytest.mark.parametrize("number", ["72", "72.0", "$72", " 72 ", "+72"])
def test_one_number_written_otherwise_succeeds(number):
    assert GSM8K.success(TASK, f"<think>so</think><answer>{number}</answer>")


def test_an_answer_without_a_thought_is_right_but_not_well_formed():
    assert GSM8K.score(TASK, "<answer>72</answer>").parts == {"correct": 1.0, "format": 0.0}


GOOD = '{"question": "1+1?", "answer": "#### 2"}\n'


def test_a_question_in_both_splits_is_refused(tmp_path):
    (tmp_path / "train.jsonl").write_text(GOOD)
    (tmp_path / "test.jsonl").write_text(GOOD.replace("1+1", "1+2") + GOOD)
    with pytest.raises(UserError, match=r"test\.jsonl line 2: this question is in another split too"):
        make("gsm8k", path=str(tmp_path)).rows("train", 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n \n", "the file is empty"),
        (GOOD.encode() + b'{"question": "1+2?"', "line 2: not JSON"),
        (GOOD.encode() + b"\n[1, 2]\n", "line 3: a JSON object is needed, not list"),
        (GOOD.encode() + b'{"question": "\xff"}\n', "line 2: not UTF-8"),
        (b"[" * 100_000, "line 1: not JSON"),
        (b'{"question": "1+1?"}\n', "line 1: the task row lacks the column 'answer'"),
        (b'{"question": "1+1?", "answer": "2"}\n', "line 1: answer: it must end in '#### number'"),
        (b'{"question": "1+1?", "answer": "#### two"}\n', "line 1: answer: it must end in '#### number'"),
        (b'{"question": 7, "answer": "#### 2"}\n', "line 1: question: text is needed"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path, content, message):
    (tmp_path / "train.jsonl").write_bytes(content)
    with pytest.raises(UserError, match=r"train\.jsonl") as caught:
        make("gsm8k", path=str(tmp_path)).rows("train", 0)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        make("gsm8k", path=str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"test\.jsonl: cannot be read"):
        make("gsm8k", path=str(tmp_path)).rows("test", 0)


def test_one_file_is_split_by_the_hash_of_its_questions(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(f'{{"question": "{n}+1?", "answer": "#### {n + 1}"}}\n' for n in range(200)) + GOOD)
    environment = make("gsm8k", path=str(path))
    questions = {split: [row["question"] for row in environment.rows(split, 0)] for split in ("train", "test")}
    assert len(questions["train"]) + len(questions["test"]) == 200  # "1+1?" stands there twice
    assert not set(questions["train"]) & set(questions["test"])
    assert 20 <= len(questions["test"]) <= 60


def test_rows_are_not_shared_between_calls(tmp_path):
    (tmp_path / "train.jsonl").write_text(GOOD)
    environment = make("gsm8k", path=str(tmp_path))
    next(iter(environment.rows("train", 0)))["question"] = "spoiled"
    assert [row["question"] for row in islice(environment.rows("train", 0), 1)] == ["1+1?"]


def test_without_datasets_the_way_out_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"pip install 'rlvr\[hub\]'.*path="):
        make("gsm8k").rows("train", 0)


def test_without_the_hub_the_way_out_is_named_at_once(monkeypatch):
    """Nothing listens at the port, as where there is no network: what was downloaded is looked for, and no more."""
    constants = pytest.importorskip("huggingface_hub.constants")
    asked_offline = []

    class Offline:
        config = SimpleNamespace(HF_HUB_OFFLINE=False)

        @staticmethod
        def load_dataset(*args, **kwargs):
            asked_offline.append((constants.HF_HUB_OFFLINE, Offline.config.HF_HUB_OFFLINE))
            raise ConnectionError("not among the downloads")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "datasets", Offline)
    with pytest.raises(UserError, match=r"ConnectionError.*HF_HUB_OFFLINE.*path="):
        make("gsm8k").rows("test", 0)
    assert asked_offline == [(True, True)]
    assert (constants.HF_HUB_OFFLINE, Offline.config.HF_HUB_OFFLINE) == (False, False)


def test_rows_from_the_hub_are_the_splits_asked_for(monkeypatch):
    class Hub:
        config = SimpleNamespace(HF_HUB_OFFLINE=True)

        @staticmethod
        def load_dataset(name, config, split):
            assert (name, config) == ("openai/gsm8k", "main")
            return [{"question": f"{split}?", "answer": "#### 1"}]

    monkeypatch.setattr(pytest.importorskip("huggingface_hub.constants"), "HF_HUB_OFFLINE", True)
    monkeypatch.setitem(sys.modules, "datasets", Hub)
    assert [row["question"] for row in make("gsm8k").rows("test", 0)] == ["test?"]
