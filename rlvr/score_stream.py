"""Scoring a stream of completions, line by line, in constant memory.

A line is `{"task": {row}, "completion": "…"}`, the completion as text or as chat messages; it comes back with `reward`,
`success`, `parts`, `errors` and `info`, its other keys as they were. Where a line has `num_tokens`, the length of the
completion in tokens, rewards of length go by it.

Not here: files and options (`rlvr.commands.score`).
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import Any

from rlvr_envs import Environment
from rlvr_envs.seeds import is_json, kind_of
from rlvr_rewards import Reward, Score, UserError
from rlvr_rewards.errors import one_line
from rlvr_rewards.row import Completion

_BYTE_ORDER_MARK = "\ufeff"
_COMPLETION = "text or a list of chat messages"
TOGETHER = 512
"""Lines scored at once where parts of the reward run beside each other."""


@dataclass
class Tally:
    """What a summary needs of the lines scored so far.

    Attributes:
        num_scored: Lines scored, those with errors too.
        num_errors: Lines with at least one error; `first_error` is the first one met.
        num_skipped: Lines left out because they could not be read; `first_skipped` says why the first was.
        sums: For `reward`, each part and each number of the info: on how many lines it had a value, and their sum.
        failures: How often each `info.failure` occurred.
    """

    num_scored: int = 0
    num_successes: int = 0
    num_errors: int = 0
    first_error: str = ""
    num_skipped: int = 0
    first_skipped: str = ""
    sums: dict[str, tuple[int, float]] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)

    def add(self, record: dict[str, Any]) -> None:
        self.num_scored += 1
        self.num_successes += bool(record["success"])
        if record["errors"]:
            self.num_errors += 1
            self.first_error = self.first_error or next(": ".join(item) for item in record["errors"].items())
        for name, value in {**record["info"], **record["parts"], "reward": record["reward"]}.items():
            if isinstance(value, int | float):
                num_values, total = self.sums.get(name, (0, 0.0))
                self.sums[name] = num_values + 1, total + value
        if "failure" in record["info"]:
            self.failures[str(record["info"]["failure"])] += 1

    def skip(self, error: UserError) -> None:
        self.num_skipped += 1
        self.first_skipped = self.first_skipped or str(error)

    @property
    def has_rewards(self) -> bool:
        """Whether any line has a reward: none has where some part failed on each."""
        return "reward" in self.sums

    def means(self) -> dict[str, float]:
        """The mean of each sum, the reward first."""
        names = sorted(self.sums, key=lambda name: name != "reward")
        return {name: self.sums[name][1] / self.sums[name][0] for name in names}


def score_lines(
    lines: Iterable[bytes], environment: Environment, tally: Tally, reward: Reward | None = None, skip_bad: bool = False
) -> Iterator[bytes]:
    """The scored lines, in order, each ended by a newline; blank lines are passed over.

    Args:
        lines: JSON in UTF-8, one object a line. Unpaired surrogates survive.
        environment: Whose rules decide success, and the reward where no other is given.
        tally: Counts what goes by.
        reward: Scores in place of the environment's own.
        skip_bad: Leave out and count the lines that cannot be read, where otherwise the first one is an error.

    Raises:
        UserError: A line is not JSON, lacks a key, or its task lacks a column; the message begins with its number.
    """
    at_once = TOGETHER if (reward or environment.reward).has_ahead else 1
    read = _read_lines(lines, environment, tally, skip_bad)
    while chunk := list(islice(read, at_once)):
        for number, record in _scored(chunk, environment, reward):
            try:
                written = _write(record)
            except UserError as error:
                _refuse(number, error, tally, skip_bad)
                continue
            tally.add(record)
            yield written


def _read_lines(
    lines: Iterable[bytes], environment: Environment, tally: Tally, skip_bad: bool
) -> Iterator[tuple[int, dict[str, Any]]]:
    """What each line that is not blank holds, with its number."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield number, _read(line, environment)
        except UserError as error:
            _refuse(number, error, tally, skip_bad)


def _refuse(number: int, error: UserError, tally: Tally, skip_bad: bool) -> None:
    named = UserError(f"line {number}: {error}")
    if not skip_bad:
        raise named from None
    tally.skip(named)


def _scored(
    chunk: Sequence[tuple[int, dict[str, Any]]], environment: Environment, reward: Reward | None
) -> list[tuple[int, dict[str, Any]]]:
    """The lines with what is said of each."""
    records = [record for _, record in chunk]
    known = [{} if r.get("num_tokens") is None else {"num_tokens": r["num_tokens"]} for r in records]
    tasks, completions = [r["task"] for r in records], [r["completion"] for r in records]
    said = score_records(tasks, completions, environment, reward, known)
    return [(number, record | verdict) for (number, record), verdict in zip(chunk, said, strict=True)]


def score_record(
    task: dict[str, Any],
    completion: Completion,
    environment: Environment,
    reward: Reward | None = None,
    known: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """What is said of one completion; what fails is recorded under `errors` and leaves the rest standing.

    `known` is what else is known of it, such as its `completion_ids` or `num_tokens`.

    Of a task with several turns, the assistant's count alone: the environment replies to them anew.
    """
    return _record(environment.score(task, completion, reward, **known), task, completion, environment)


def score_records(
    tasks: Sequence[dict[str, Any]],
    completions: Sequence[Completion],
    environment: Environment,
    reward: Reward | None,
    known: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """What is said of several completions, as `score_record` says it of one; what waits is waited for together."""
    scores = environment.score_batch(tasks, completions, reward, known)
    return [_record(*each, environment) for each in zip(scores, tasks, completions, strict=True)]


def _record(score: Score, task: dict[str, Any], completion: Completion, environment: Environment) -> dict[str, Any]:
    success, info, failed = judge(task, completion, environment)
    errors = {**score.errors, **failed}
    return {"reward": score.reward, "success": success, "parts": score.parts, "errors": errors, "info": info}


def judge(
    task: dict[str, Any], completion: Completion, environment: Environment
) -> tuple[bool | None, dict[str, Any], dict[str, str]]:
    """Success, info, and what went wrong in finding them: a success that raised is `None`, such an info empty."""
    success, info, errors = None, {}, {}
    try:
        success = environment.success(task, environment.heard(task, completion))
    except Exception as error:  # recorded beside the reward's own errors
        errors["success"] = one_line(error)
    try:
        info = _checked_info(environment, environment.info(task, environment.heard(task, completion)))
    except UserError as error:
        errors["info"] = str(error)
    except Exception as error:  # recorded beside the reward's own errors
        errors["info"] = one_line(error)
    return success, info, errors


def _checked_info(environment: Environment, info: dict[str, Any]) -> dict[str, Any]:
    for key, value in info.items():
        if not is_json(value):
            raise UserError(f"environment {environment.name}: info[{key!r}] is {kind_of(value)}, which is not JSON")
    return info


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_ENCODER = json.JSONEncoder(allow_nan=False)


def _read(line: bytes, environment: Environment) -> dict[str, Any]:
    try:
        record = _DECODER.decode(line.decode("utf-8", "surrogatepass").removeprefix(_BYTE_ORDER_MARK))
    except (ValueError, RecursionError) as error:
        raise UserError(f"not JSON ({error})") from None
    if not isinstance(record, dict):
        raise UserError('not an object: a line is {"task": {…}, "completion": "…"}')
    for key, fits, called in (("task", _is_object, "an object"), ("completion", _is_completion, _COMPLETION)):
        if not fits(record.get(key)):
            raise UserError(f"{key!r} must be {called}" if key in record else f"has no {key!r}")
    num_tokens = record.get("num_tokens")
    if num_tokens is not None and (type(num_tokens) is not int or num_tokens < 0):
        raise UserError("'num_tokens' must be the length of the completion in tokens")
    environment.check(record["task"])
    return record


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_completion(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(map(_is_message, value)))


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("content"), str)


def _write(record: dict[str, Any]) -> bytes:
    try:
        return (_ENCODER.encode(record) + "\n").encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"cannot be written as JSON ({error})") from None
