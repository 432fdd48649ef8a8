"""Checks that an environment keeps its contract, for the test suite of whoever wrote it:

    from rlvr_envs.testing import check_env

    def test_my_environment():
        check_env(MyEnv())

Not here: whether the tasks are worth solving, and the Gymnasium side (`gymnasium.utils.env_checker`).
"""

import json
from collections.abc import Mapping
from dataclasses import is_dataclass
from itertools import islice

from rlvr_envs.environment import Environment, Task
from rlvr_envs.episode import played
from rlvr_envs.seeds import canonical_json, derive_random, is_json
from rlvr_rewards import UserError, testing
from rlvr_rewards.extract import final_text
from rlvr_rewards.row import Completion, turns_of

GARBAGE: Mapping[str, str] = {
    **testing.GARBAGE,
    "10,000 brackets": "<answer>" + "(" * 10_000 + "</answer>",
    "a tower of powers": "<answer>9**9**9**9</answer>",
    "a division by zero": "<answer>1/0</answer>",
    "code": "<answer>__import__('os')</answer>",
}
"""Completions that no environment may stumble over or take for a solution, by what is nasty about them."""


def check_env(env: Environment, *, num_tasks: int = 30, garbage: Mapping[str, str] = GARBAGE) -> None:
    """Checks every promise of the contract, on the first tasks of each split.

    >>> from rlvr_envs import make
    >>> check_env(make("arithmetic"), garbage={"empty": ""})

    Args:
        env: The environment, with the options to be checked.
        num_tasks: Tasks a split to check; where a split has fewer, those.
        garbage: Completions by name that must neither raise nor succeed, each on the first task.

    Raises:
        AssertionError: The contract is broken; the message says where.
    """
    check_declared(env)
    tasks = {split: list(islice(env.rows(split, 0), num_tasks)) for split in env.splits}
    for split, found in tasks.items():
        assert found, f"the split {split!r} has no rows"
        for task in found:
            check_task(env, task)
        check_order(env, split, found)
    check_splits(env, tasks)
    first = tasks[env.splits[0]]
    for name, completion in garbage.items():
        check_garbage(env, first[0], name, completion)
    for task in first[:5]:
        check_parts(env, task)
        check_baselines(env, task)
        check_replies(env, task)


def check_declared(env: Environment) -> None:
    """It has a name and columns, is frozen, refuses a split that it does not have and a row without a column."""
    assert env.name, "it has no name"
    assert env.columns, "it names no columns"
    is_frozen = is_dataclass(env) and env.__dataclass_params__.frozen  # pyright: ignore[reportAttributeAccessIssue]
    assert is_frozen, "it is no frozen dataclass: write @dataclass(frozen=True) above the class"
    try:
        next(iter(env.rows("no such split", 0)), None)
    except UserError:
        pass
    else:
        raise AssertionError("rows() takes any split: call self.require_split(split) first")


def check_task(env: Environment, task: Task) -> None:
    """A row is JSON and holds the columns; its prompt is chat messages without gold; gold earns most and succeeds."""
    for column, value in task.items():
        assert is_json(value), f"column {column!r} is not JSON: {value!r}"
    assert json.loads(canonical_json(task)) == task, f"{task} does not come back from JSON as it was"
    env.check(task)
    _check_columns(env, task)
    gold = env.gold(task)
    _check_messages(env, task, gold)
    score = env.score(task, gold)
    assert not score.errors, f"gold {gold!r} gives errors: {score.errors}"
    assert score.reward == env.reward.max, f"gold {gold!r} earns {score.reward}, not the {env.reward.max} there is"
    assert env.success(task, env.heard(task, gold)) is True, f"gold {gold!r} does not succeed"
    _check_info(env, task, gold)
    hard = env.difficulty(task)
    assert hard is None or 0 <= hard <= 1, f"the difficulty of {task} is {hard!r}, not in [0, 1]"


def _check_columns(env: Environment, task: Task) -> None:
    for column in env.columns:
        assert column in task, f"a row lacks the column {column!r}: {task}"
        try:
            env.check({name: value for name, value in task.items() if name != column})
        except UserError as error:
            assert repr(column) in str(error), f"check() does not name the column that is missing: {error}"
        else:
            raise AssertionError(f"check() takes a row without the column {column!r}")


def _check_messages(env: Environment, task: Task, gold: Completion) -> None:
    messages = env.messages(task)
    shown = f"the messages {messages}"
    assert messages and messages[-1]["role"] == "user", f"{shown} do not end with the user's"
    for message in messages:
        assert set(message) == {"role", "content"} and message["content"], f"{shown} need a role and a content each"
    answer = (final_text(_last_turn(gold)) or "").strip()
    assert answer, f"gold {gold!r} holds no answer after its thought"
    prompt = "\n".join(message["content"] for message in messages)
    assert answer not in prompt, f"{shown} hold the gold answer {answer!r}"


def _check_info(env: Environment, task: Task, completion: Completion) -> None:
    info = env.info(task, env.heard(task, completion))
    for key, value in info.items():
        assert is_json(value), f"info[{key!r}] is not JSON: {value!r}"
    for metric in env.metrics:
        value = info.get(metric)
        assert isinstance(value, int | float) and 0 <= value <= 1, f"info[{metric!r}] is {value!r}, not in [0, 1]"


def check_order(env: Environment, split: str, found: list[Task]) -> None:
    """The same seed gives the same rows in the same order; where there are many, another seed gives others."""
    again = list(islice(env.rows(split, 0), len(found)))
    assert again == found, f"the split {split!r} gives other rows for the same seed"
    others = list(islice(env.rows(split, 1), len(found)))
    assert len(found) < 10 or others != found, f"the split {split!r} gives the same rows in the same order for any seed"


def check_splits(env: Environment, tasks: Mapping[str, list[Task]]) -> None:
    """The rows of a split are distinct, and no two splits share one."""
    seen: dict[str, str] = {}
    for split, found in tasks.items():
        ids = [env.task_id(task) for task in found]
        assert len(set(ids)) == len(ids), f"the split {split!r} gives a row twice"
        for task_id in ids:
            other = seen.setdefault(task_id, split)
            assert other == split, f"the splits {other!r} and {split!r} share a row"


def check_garbage(env: Environment, task: Task, name: str, completion: str) -> None:
    """Garbage is scored without an error, below the most, and never succeeds."""
    score = env.score(task, completion)
    assert not score.errors, f"garbage {name!r} gives errors: {score.errors}"
    assert score.reward is not None and score.reward < env.reward.max, f"garbage {name!r} earns {score.reward}"
    assert env.success(task, env.heard(task, completion)) is False, f"garbage {name!r} succeeds"
    _check_info(env, task, completion)


def check_parts(env: Environment, task: Task) -> None:
    """Parts and reward stay within their bounds whatever of gold is cut, repeated or turned round."""
    gold, (low, high) = _last_turn(env.gold(task)), env.reward.bounds
    bounds = {node.name: node.bounds for node in env.reward.walk() if node.name}
    step = max(1, len(gold) // 50)
    for piece in [*(gold[:cut] for cut in range(0, len(gold), step)), gold * 2, gold + gold[::-1], gold.upper()]:
        score = env.score(task, piece)
        assert not score.errors, f"{piece!r} gives errors: {score.errors}"
        for name, value in score.parts.items():
            in_range = value is None or bounds[name][0] <= value <= bounds[name][1]
            assert in_range, f"part {name!r} of {piece!r} is {value}, outside {bounds[name]}"
        assert score.reward is None or low <= score.reward <= high, f"{piece!r} earns {score.reward}"


def check_baselines(env: Environment, task: Task) -> None:
    """A baseline answers with a completion, the same for the same randomness, that is scored without an error."""
    for name, baseline in env.baselines().items():
        answer = baseline(task, derive_random(0))
        is_completion = isinstance(answer, str) or (env.max_turns > 1 and _is_played(env, task, answer))
        assert is_completion, f"baseline {name!r} gives {answer!r}, not text, nor an episode"
        assert answer == baseline(task, derive_random(0)), f"baseline {name!r} answers differently the second time"
        assert not env.score(task, answer).errors, f"baseline {name!r}: {env.score(task, answer).errors}"


def check_replies(env: Environment, task: Task) -> None:
    """Replies are messages, equal to equal turns; gold is an episode of several turns that the environment ends; what
    pretends to be a reply is not heard, and a turn that holds all of gold's turns is one turn."""
    gold = env.gold(task)
    if env.max_turns == 1:
        return
    assert _is_played(env, task, gold), f"gold {gold!r} is no episode: give self.episode(task, [turn, …])"
    episode = played(env, task, gold)
    assert episode.terminated, f"gold {gold!r} does not end the episode"
    for turn in episode.turns:
        assert set(turn) == {"role", "content"} and turn["content"], f"{turn} needs a role and a content"
        assert turn["role"] in ("assistant", "user", "tool"), f"{turn} is of a role that no reply has"
    said = [turn["content"] for turn in episode.turns if turn["role"] == "assistant"]
    forged = [{**turn, "content": "yes, correct"} if turn["role"] != "assistant" else turn for turn in episode.turns]
    assert env.episode(task, forged) == episode.turns, "what a completion says that the environment replied is heard"
    assert not played(env, task, [said[0]] * (env.max_turns + 1)).num_turns > env.max_turns
    if len(said) > 1:
        reward = env.score(task, "\n".join(turn["content"] for turn in episode.turns)).reward
        assert reward is None or reward < env.reward.max, "gold's turns in one turn earn what gold does"


def _last_turn(completion: Completion) -> str:
    """What the assistant said last."""
    return [turn["content"] for turn in turns_of(completion) if turn.get("role", "assistant") == "assistant"][-1]


def _is_played(env: Environment, task: Task, completion: Completion) -> bool:
    """Whether it is a conversation as the environment makes it of its turns."""
    return not isinstance(completion, str) and list(completion) == env.episode(task, completion)
