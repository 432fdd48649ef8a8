"""Running a stranger's Python on inputs, or under assertions, in sandboxes: what goes in, and what comes back.

Expected values never go in. `call_function` and `run_program` take inputs and give back outputs; the caller compares.
`check_asserts` has to run assertions, which hold them: so it runs them in a second sandbox, and where they call the
code, the arguments are carried to the first and the plain value that comes of it is carried back. The code can
therefore read no expected value, forge no verdict and return no object that equals everything.
"""

import ast
import builtins
import json
import os
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from rlvr_rewards.errors import UserError
from rlvr_rewards.sandbox import backends
from rlvr_rewards.sandbox.backends import Backend
from rlvr_rewards.sandbox.inside.plain import NotPlainError, from_json, to_json
from rlvr_rewards.sandbox.limits import Limits
from rlvr_rewards.sandbox.outcome import Ending, Outcome, Result
from rlvr_rewards.sandbox.process import Sandbox

_DETAIL = 200


def _num_slots() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


_slots = threading.BoundedSemaphore(_num_slots())
"""As many programs at once as there are cores: more would only run into their time limits."""


def _forget() -> None:
    """After a fork the slots are held by threads that are not there."""
    global _slots
    _slots = threading.BoundedSemaphore(_num_slots())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def call_function(
    code: str,
    function: str,
    arguments: Sequence[Sequence[Any]],
    limits: Limits | None = None,
    *,
    backend: Backend | None = None,
) -> Outcome:
    """Calls a function that the code defines once for each list of arguments.

    The calls are made one after another in one process; where one of them ends it, the others go on in a new one.

    >>> call_function("def double(x): return 2 * x", "double", [[4], ["ab"]]).results[1].value
    'abab'

    Args:
        code: A Python module; `__name__` is not `"__main__"` in it. Only the standard library can be imported.
        function: The name it defines.
        arguments: Plain values, positional.
        limits: What it may use; by default `Limits()`.
        backend: Which one to use; by default the first that is safe here.

    Raises:
        UserError: No safe sandbox can be had here, or an argument is not plain.
    """
    calls = [{"args": _plain(list(given))} for given in arguments]
    request = {"kind": "function", "code": code, "function": function, "calls": calls}
    return _run(request, [], len(calls), limits or Limits(), backend)


def run_program(
    code: str, inputs: Sequence[str], limits: Limits | None = None, *, backend: Backend | None = None
) -> Outcome:
    """Runs the code as a program (`__name__ == "__main__"`) once for each text on its standard input.

    A result's value is what it printed. See `call_function` for the rest.

    >>> run_program("print(int(input()) * 2)", ["4\\n"]).results[0].value
    '8\\n'

    Raises:
        UserError: No safe sandbox can be had here.
    """
    tests = [{"stdin": text} for text in inputs]
    return _run({"kind": "program", "code": code}, tests, len(tests), limits or Limits(), backend)


def check_asserts(
    code: str,
    asserts: Sequence[str],
    setup: str = "",
    limits: Limits | None = None,
    *,
    backend: Backend | None = None,
) -> Outcome:
    """Runs each piece of test code against the code, in two sandboxes; `RETURNED` where a piece raises nothing.

    Names that `setup` and the pieces use but do not define stand for functions of the code. Only plain values pass
    between the two, so tests that hand objects over, or look at an argument that was changed in place, do not pass.

    >>> check_asserts("def double(x): return 2 * x", ["assert double(4) == 8", "assert double(4) == 9"]).results[1]
    Result(ending=<Ending.RAISED: 'raised'>, value=None, detail='AssertionError')

    Raises:
        UserError: No safe sandbox can be had here, or the tests are no Python.
    """
    limits, backend, start = limits or Limits(), backend or backends.backend(), time.monotonic()
    remote = free_names("\n".join([setup, *asserts]))
    results: list[Result] = []
    with _slots, ExitStack() as stack:
        tested, tests = (stack.enter_context(Sandbox(backend, limits)) for _ in range(2))
        tested.send(kind="function", code=code, function="")
        tests.send(kind="asserts", code=setup, remote=sorted(remote))
        if refused := _loading(tested, "the code"):
            return replace(refused, results=(Result(refused.ending, None, refused.detail),) * len(asserts))
        if refused := _loading(tests, "the tests"):
            raise UserError(f"the tests cannot be set up: {refused.detail or refused.ending}")
        for index, source in enumerate(asserts):
            tests.send(i=index, source=source)
            results.append(_relayed(tested, tests, index))
        for sandbox in (tested, tests):
            sandbox.send(end=True)
            sandbox.receive()
    seconds = time.monotonic() - start
    if tested.ending in (None, Ending.EXITED):
        return Outcome(Ending.RETURNED, tuple(results), "", seconds)
    return Outcome(tested.ending, tuple(results), tested.detail, seconds)


def free_names(source: str) -> set[str]:
    """The names that a module uses, and neither defines nor imports nor finds among the builtins.

    >>> sorted(free_names("import math\\ndef check(f): assert f(2) == math.sqrt(4) == double(1)\\ncheck(triple)"))
    ['double', 'triple']

    Raises:
        UserError: It is no Python.
    """
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UserError(f"the tests are no Python: {error}") from None
    names = [node for node in nodes if isinstance(node, ast.Name)]
    own = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    own |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    own |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    own |= {node.name for node in nodes if isinstance(node, ast.ExceptHandler) and node.name}
    own |= {(alias.asname or alias.name).partition(".")[0] for alias in nodes if isinstance(alias, ast.alias)}
    return {node.id for node in names} - own - set(vars(builtins))


def _run(
    request: dict[str, Any], tests: list[dict[str, Any]], num_tests: int, limits: Limits, backend: Backend | None
) -> Outcome:
    """One sandbox for a request and the tests that follow it, and what became of each of all its tests."""
    backend = backend or backends.backend()
    found: dict[int, Result] = {}
    with _slots, Sandbox(backend, limits) as sandbox:
        start = time.monotonic()
        sandbox.send(**request)
        for index, test in enumerate(tests):
            sandbox.send(i=index, **test)
        sandbox.send(end=True)
        refused = _loading(sandbox, "the code")
        while not refused and (line := sandbox.receive()) is not None:
            said = _read(line)
            index = said.get("i")
            if isinstance(index, int) and 0 <= index < num_tests:
                found.setdefault(index, _result(said))
        seconds = time.monotonic() - start
    if refused:
        return replace(refused, results=(Result(refused.ending, None, refused.detail),) * num_tests, seconds=seconds)
    if len(found) == num_tests:
        return Outcome(Ending.RETURNED, tuple(found[i] for i in range(num_tests)), "", seconds)
    ending, detail = sandbox.ending or Ending.EXITED, sandbox.detail
    missing = Result(Ending.NOT_RUN, None, f"{ending}: {detail}")
    return Outcome(ending, tuple(found.get(i, missing) for i in range(num_tests)), detail, seconds)


def _loading(sandbox: Sandbox, what: str) -> Outcome | None:
    """Waits until what was sent is loaded; where that failed, how."""
    line = sandbox.receive()
    if line is None:
        return Outcome(sandbox.ending or Ending.EXITED, (), f"{what}: {sandbox.detail}")
    said = _read(line)
    if said.get("loaded") is True:
        return None
    refused = _result({"ending": Ending.EXITED, **said})
    return Outcome(refused.ending, (), refused.detail)


def _relayed(tested: Sandbox, tests: Sandbox, index: int) -> Result:
    """Runs one piece of the tests, carrying its calls to the code and what comes of them back."""
    last = ""
    while (line := tests.receive()) is not None:
        said = _read(line)
        if "call" not in said:
            result = _result(said)
            because = f" ({last})" if last and result.ending is Ending.RAISED else ""
            return Result(result.ending, None, (result.detail + because)[:_DETAIL])
        result = _called(tested, said)
        last = "" if result.ending is Ending.RETURNED else f"{result.ending}: {result.detail}"
        value = to_json(result.value) if result.ending is Ending.RETURNED else ""
        tests.send(ending=result.ending, value=value, detail=result.detail)
    return Result(Ending.NOT_RUN, None, f"{tests.ending}: {tests.detail}")


def _called(tested: Sandbox, said: dict[str, Any]) -> Result:
    """What came of a call in the sandbox of the code."""
    tested.send(i=0, function=said["call"], args=said.get("args"), kwargs=said.get("kwargs"))
    answer = tested.receive()
    if answer is None:
        return Result(tested.ending or Ending.EXITED, None, tested.detail)
    return _result(_read(answer))


def _read(line: bytes) -> dict[str, Any]:
    """A line from a sandbox as a mapping; an empty one where it is none."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _result(said: dict[str, Any]) -> Result:
    detail = " ".join(str(said.get("detail") or "")[: 2 * _DETAIL].split())[:_DETAIL]
    ending = said.get("ending")
    if ending != Ending.RETURNED:
        known = isinstance(ending, str) and ending in list(Ending)
        return Result(Ending(ending) if known else Ending.CRASHED, None, detail or "its process made no sense")
    try:
        return Result(Ending.RETURNED, from_json(str(said.get("value"))), detail)
    except NotPlainError as error:
        return Result(Ending.NOT_PLAIN, None, str(error))


def _plain(value: Any) -> str:
    try:
        return to_json(value)
    except NotPlainError as error:
        raise UserError(f"a test's input cannot go into the sandbox: {error}") from None
