"""A taskset of verifiers by its id: its options, its tasks, and what one of them gives a reply.

What needs more than text is refused: tools, a container, a machine that is set up first, a reward that asks for one.
"""

import asyncio
import inspect
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import verifiers.v1 as vf
from pydantic import ValidationError
from verifiers.v1.utils.loaders import taskset_class, taskset_config_type

from rlvr_rewards.errors import UserError, one_line, unknown_name

_NOT_OPTIONS = ("id", "task", "system_prompt")
_OF_THE_POSITION = "idx"


def options(taskset_id: str) -> dict[str, inspect.Parameter]:
    """The fields of the taskset's own configuration.

    Raises:
        UserError: There is no such taskset.
    """
    fields = _config_type(taskset_id).model_fields
    kind = inspect.Parameter.KEYWORD_ONLY
    return {
        name: inspect.Parameter(
            name, kind, default=field.get_default(call_default_factory=True), annotation=field.annotation
        )
        for name, field in fields.items()
        if name not in _NOT_OPTIONS
    }


def load(taskset_id: str, given: Mapping[str, Any]) -> Any:
    """The taskset with these options.

    Raises:
        UserError: An option is none or of the wrong kind, or its tasks need more than text.
    """
    known = options(taskset_id)
    for name in given:
        if name not in known:
            raise unknown_name(f"option of verifiers/{taskset_id}", name, known)
    try:
        config = _config_type(taskset_id)(id=taskset_id, **given)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"verifiers/{taskset_id}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    taskset = taskset_class(taskset_id)(config)
    if why := _needs(taskset):
        raise UserError(f"verifiers/{taskset_id}: {why}: run it with vf-eval; here a task is a prompt and a reply")
    return taskset


def data_of(taskset: Any) -> Iterator[dict[str, Any]]:
    """The data of each task, as JSON values, without what is at its default and without its position."""
    for task in taskset:
        data = task.data.model_dump(mode="json", exclude_defaults=True)
        data.pop(_OF_THE_POSITION, None)
        yield data


def weights(taskset: Any) -> dict[str, float]:
    """The rewards of its tasks and their weights."""
    task = _first(taskset)
    if task.plugged_judges():
        raise UserError("judges that a config plugs in need a model each: score with rlvr_rewards.judge_rubric")
    return {hook.__name__: float(getattr(hook, "_vf_weight", 1.0)) for hook in task.hooks("reward")}


def marks(taskset: Any, data: Mapping[str, Any], reply: str) -> dict[str, float | None]:
    """What each reward of the task gives a reply, before weights."""
    return _marks(_Same(taskset), json.dumps(data, sort_keys=True), reply)


class _Same:
    """A taskset as a key of the cache, by identity."""

    def __init__(self, taskset: Any) -> None:
        self.taskset = taskset

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.taskset is self.taskset

    def __hash__(self) -> int:
        return id(self.taskset)


@lru_cache(maxsize=1024)
def _marks(same: _Same, data: str, reply: str) -> dict[str, float | None]:
    kind = type(_first(same.taskset))
    task = kind(kind.data_type().model_validate(json.loads(data)), same.taskset.config.task)
    trace = vf.Trace(
        task=vf.TraceTask(type=kind.__name__, data=task.data, key=task.key, hash=task.hash),
        agent=vf.AgentInfo(config=vf.AgentConfig()),
    )
    trace.nodes.append(vf.MessageNode(message=vf.AssistantMessage(content=reply), sampled=True))
    asyncio.run(task.score(trace))
    return {name: None if given is None else float(given.score) for name, given in trace.rewards.items()}


def _first(taskset: Any) -> Any:
    task = next(iter(taskset), None)
    if task is None:
        raise UserError(f"verifiers/{taskset.config.id} has no tasks")
    return task


def _config_type(taskset_id: str) -> Any:
    try:
        return taskset_config_type(taskset_id)
    except ImportError as error:
        raise UserError(f"verifiers/{taskset_id}: {one_line(error)}") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(f"verifiers/{taskset_id} is no taskset: {one_line(error)}") from None


def _needs(taskset: Any) -> str:
    """What its tasks need beside a prompt and a reply; empty where nothing."""
    kind = type(taskset).task_type()
    if kind.NEEDS_CONTAINER:
        return "its tasks need a container"
    if kind.toolsets(taskset.config.task) or type(taskset).toolsets(taskset.config):
        return "its tasks have tools"
    if kind.setup is not vf.Task.setup or kind.finalize is not vf.Task.finalize:
        return "its tasks are set up on a machine"
    asks = [
        hook.__name__ for hook in _first(taskset).hooks("reward") if "runtime" in inspect.signature(hook).parameters
    ]
    return f"its reward {asks[0]} asks for a machine" if asks else ""
