"""`gsm8k`: grade-school word problems with a number as answer (Cobbe et al. 2021, arXiv 2110.14168; data MIT).

Rows are the published ones: `question`, and `answer`, a rationale with calculator marks (`<<3+4=7>>`) that ends in
`#### 7`. They come from the Hugging Face hub, or from `path`. Not here: any wording of the question but its own.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rlvr_envs.environment import Environment, Message, Task
from rlvr_envs.hub import offline_unless_reachable
from rlvr_envs.jsonl import read_jsonl
from rlvr_envs.seeds import derive_random
from rlvr_rewards import UserError, exact_number, reward, think_format
from rlvr_rewards.numerals import read_number

SYSTEM = (
    "Solve the problem. Reason step by step between <think> and </think>, "
    "then give the number alone between <answer> and </answer>."
)
_CALCULATOR_MARK = re.compile(r"<<[^<>]*>>")
_MOST_STEPS = 8


@reward
def final_number(completion: str, answer: str) -> float:
    """1.0 where the final `<answer>` equals, as a number, what follows `####` in the gold answer.

    >>> final_number("<think>3+4</think><answer>7</answer>", answer="3+4 = <<3+4=7>>7 #### 7")
    1.0
    >>> final_number("<think><answer>7</answer></think> 7", answer="#### 7")
    0.0
    """
    return exact_number(completion, _after_hashes(answer))


@dataclass(frozen=True)
class Gsm8k(Environment):
    """7,473 `train` and 1,319 `test` problems, in the published splits.

    Attributes:
        path: A folder with `train.jsonl` and `test.jsonl`, or one JSONL file, whose rows are split by a hash of their
            question. Without it the hub's `openai/gsm8k` is loaded through `datasets`.
    """

    name = "gsm8k"
    columns = ("question", "answer")
    reward = final_number.named("correct") + 0.2 * think_format.named("format")

    path: str = ""

    def __post_init__(self) -> None:
        if self.path and not Path(self.path).exists():
            raise UserError(f"gsm8k: path={self.path!r}: no such file or folder")

    def rows(self, split: str, seed: int) -> Iterator[Task]:
        self.require_split(split)
        if split not in self._tables:
            self._tables[split] = self._load(split)
        table = self._tables[split]
        order = derive_random(seed, environment=self.name, split=split).sample(range(len(table)), len(table))
        return (dict(table[index]) for index in order)

    def messages(self, task: Task) -> list[Message]:
        return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": task["question"]}]

    def gold(self, task: Task) -> str:
        """The published rationale without its calculator marks, then the number."""
        rationale = _CALCULATOR_MARK.sub("", task["answer"].rpartition("####")[0]).strip()
        return f"<think>\n{rationale}\n</think>\n<answer>{_after_hashes(task['answer'])}</answer>"

    def success(self, task: Task, completion: str) -> bool:
        return final_number(completion, task["answer"]) == 1.0

    def difficulty(self, task: Task) -> float | None:
        """Steps marked in the published rationale, over 8 (more count as 8); `None` where none is marked."""
        steps = len(_CALCULATOR_MARK.findall(task["answer"]))
        return min(steps, _MOST_STEPS) / _MOST_STEPS if steps else None

    def content(self, task: Task) -> Any:
        """The question: two answers to one question are one task."""
        return task["question"]

    def check(self, task: Mapping[str, Any]) -> None:
        """Refuses a row without a column, or whose answer does not end in `#### number`."""
        super().check(task)
        for column in self.columns:
            if not isinstance(task[column], str):
                raise UserError(f"{column}: text is needed, not {task[column]!r:.80}")
        if "####" not in task["answer"] or read_number(_after_hashes(task["answer"])) is None:
            raise UserError(f"answer: it must end in '#### number', and ends in {task['answer'][-40:]!r}")

    @cached_property
    def _tables(self) -> dict[str, list[Task]]:
        """The rows of each split that was asked for."""
        return {}

    def _load(self, split: str) -> list[Task]:
        if not self.path:
            return self._distinct(_hub_rows(split), f"openai/gsm8k {split}")
        path = Path(self.path)
        if path.is_dir():
            tasks = self._distinct(read_jsonl(path / f"{split}.jsonl"), str(path / f"{split}.jsonl"))
            _refuse_shared(tasks, [path / f"{other}.jsonl" for other in self.splits if other != split])
            return tasks
        return [task for task in self._distinct(read_jsonl(path), str(path)) if self.split_of(task) == split]

    def _distinct(self, numbered: Iterator[tuple[int, Task]], source: str) -> list[Task]:
        """The checked rows, a question once; a bad one is named by its line."""
        tasks: dict[str, Task] = {}
        for number, row in numbered:
            try:
                self.check(row)
            except UserError as error:
                raise UserError(f"{source} line {number}: {error}") from None
            tasks.setdefault(row["question"], row)
        return list(tasks.values())


def _refuse_shared(tasks: list[Task], others: list[Path]) -> None:
    """Refuses a question that the file of another split holds too: what was trained on measures nothing."""
    questions = {task["question"] for task in tasks}
    for path in filter(Path.is_file, others):
        for number, row in read_jsonl(path):
            if str(row.get("question")) in questions:
                raise UserError(f"{path} line {number}: this question is in another split too: take it out of one")


def _after_hashes(answer: str) -> str:
    return answer.rpartition("####")[2].strip()


def _hub_rows(split: str) -> Iterator[tuple[int, Task]]:
    instead = "or give path=FOLDER with train.jsonl and test.jsonl"
    try:
        from datasets import load_dataset
    except ImportError:
        raise UserError(f"gsm8k comes from the hub through datasets: pip install 'rlvr[hub]', {instead}") from None
    try:
        with offline_unless_reachable():
            table = load_dataset("openai/gsm8k", "main", split=split)
    except Exception as error:  # the hub's client raises many kinds, from its own and from its HTTP library
        raise UserError(
            f"gsm8k cannot be had from the hub ({type(error).__name__}): go online (HF_HUB_OFFLINE unset), {instead}"
        ) from error
    yield from enumerate((dict(row) for row in table), start=1)
