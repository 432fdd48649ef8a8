"""A worker process: loads reward functions by name, calls them with plain data, and answers with plain data.

One request a line, as JSON, on the socket whose number is the second argument:

    {"load": [module, name, file], "imports": [...]}              -> {"value": number of the function}
    {"call": number, "arguments": {…}, "settings": {…}, "deadline_s": 5.0}   -> {"value": 0.5}
    anything that fails                                            -> {"error": "ValueError: …"}

It ends when the socket closes. A call that outlives its caller is ended by an alarm, which the kernel delivers even
where Python is stuck inside one long operation.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from rlvr_rewards.discovery import load_file
from rlvr_rewards.errors import one_line

ALARM_AFTER_S = 1.0
"""How long after the deadline a worker ends by itself, where its parent has not ended it."""


class Source(NamedTuple):
    """Where a function is found: by the name of its module, or where that is another file or none, in its file."""

    module: str
    name: str
    file: str | None


class Loaded(NamedTuple):
    """A function, and its settings as it wants them."""

    function: Callable[..., Any]
    settings: Callable[[dict[str, Any]], dict[str, Any]]


def main() -> None:
    """Serves until the socket closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_DATA, int(sys.argv[3]) << 20)
    functions: list[Loaded] = []
    with socket.socket(fileno=int(sys.argv[2])) as connection, connection.makefile("rwb") as stream:
        for line in stream:
            reply = _reply(json.loads(line), functions)
            stream.write(json.dumps(reply).encode() + b"\n")
            stream.flush()
    os._exit(0)  # whatever threads a reward has left behind


def _limit(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (allowed, allowed))


def _reply(request: dict[str, Any], functions: list[Loaded]) -> dict[str, Any]:
    try:
        if "load" in request:
            functions.append(_load(Source(*request["load"]), request["imports"]))
            return {"value": len(functions) - 1}
        signal.setitimer(signal.ITIMER_REAL, request["deadline_s"] + ALARM_AFTER_S)
        function, settings = functions[request["call"]]
        return {"value": _plain(function(**request["arguments"], **settings(request["settings"])))}
    except BaseException as error:  # SystemExit too: it is the reward that failed, not the worker
        return {"error": one_line(error)}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _load(source: Source, imports: list[str]) -> Loaded:
    from rlvr_rewards.leaf import FunctionReward

    for name in imports:
        with contextlib.suppress(ImportError):  # the function says what to install
            importlib.import_module(name)
    found: Any = _module(source)
    for part in source.name.split("."):
        found = getattr(found, part)
    function = found.injected.function if isinstance(found, FunctionReward) else found
    as_written = FunctionReward(function, -math.inf, math.inf)
    return Loaded(function, lambda settings: as_written.using(**settings).settings)


def _module(source: Source) -> Any:
    try:
        module = importlib.import_module(source.module)
    except ModuleNotFoundError:
        if source.file is None:
            raise
        return load_file(Path(source.file))
    file = getattr(module, "__file__", None)
    is_other = source.file is not None and (file is None or str(Path(file).absolute()) != source.file)
    return load_file(Path(source.file or "")) if is_other else module


def _plain(value: Any) -> Any:
    """A value as JSON has it: a number of numpy or torch as a float, an array as a list."""
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    raise TypeError(f"returned {type(value).__name__}: return a number or None")
