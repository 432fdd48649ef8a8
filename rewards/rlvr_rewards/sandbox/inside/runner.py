"""Runs the stranger's code: loads it once, then its tests in processes forked from there.

Nothing here is trusted, for the code shares these processes and can change whatever it likes. It need not be: what
leaves is a claim ("on this input I gave that"), and the claim is compared with what was expected on the outside, which
never comes in.

Calls of a function that are all known beforehand run one after another in one process; where one of them ends it, the
next begin in a new one. All other tests have a process each. The first line on the way in says what to load; each
further line is a test, and `end` ends it. Each line on the way out says what became of one.
"""

import json
import mmap
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable
from types import CodeType, ModuleType
from typing import Any, NoReturn

from .plain import NotPlainError, from_json, to_json

_WROTE, _PRINTED = 77, 78
"""Exit statuses of a test that has said itself what became of it, and of a program that has run to its end."""
_OVERTIME_FACTOR = 5
_DETAIL = 200


class Wires:
    """Lines from and to the outside."""

    def __init__(self, reading: int, writing: int) -> None:
        self._lines = open(reading, "rb")
        self._writing = writing

    def receive(self) -> dict[str, Any]:
        line = self._lines.readline()
        return json.loads(line) if line else {"end": True}

    def send(self, **said: Any) -> None:
        """One line; the newline before it separates it from what a test that was killed left half written."""
        data = f"\n{json.dumps(said)}\n".encode()
        while data:
            data = data[os.write(self._writing, data) :]


def main(limits: dict[str, Any]) -> NoReturn:
    """Never returns: the process ends when the tests have."""
    os.dup2(0, 8)
    os.dup2(1, 9)
    nothing = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)
    resource.setrlimit(resource.RLIMIT_CPU, (limits["cpu_s"], limits["cpu_s"]))
    sys.stdin, sys.stdout, sys.stderr = (open(d, m, encoding="utf-8") for d, m in ((0, "r"), (1, "w"), (2, "w")))
    wires = Wires(8, 9)
    request = wires.receive()
    if not request.get("end"):
        serve(wires, request, limits["test_s"])
    os._exit(0)


def serve(wires: Wires, request: dict[str, Any], test_s: float) -> None:
    """Loads what the request says, then runs tests as they come."""
    kind = request["kind"]
    try:
        code = compile(request["code"], "solution.py", "exec", dont_inherit=True)
        names = {} if kind == "program" else _loaded(wires, request, code, test_s)
    except BaseException as error:
        wires.send(loaded=False, **_raised(error))
        return
    wires.send(loaded=True)
    if "calls" in request:
        _in_turn(wires, request["calls"], lambda test: _call(names, request["function"], test), test_s)
        return
    tests: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "function": lambda test: _call(names, request["function"], test),
        "program": lambda test: _run(code),
        "asserts": lambda test: _check(names, test),
    }
    in_time = True
    while not (test := wires.receive()).get("end"):
        if in_time:
            in_time = _forked(wires, test, tests[kind], test_s)
        else:
            _give_up(wires, [test["i"]])


def _loaded(wires: Wires, request: dict[str, Any], code: CodeType, test_s: float) -> dict[str, Any]:
    """The module's names after it has run, with stand-ins for the functions that live in another sandbox."""
    module = sys.modules["solution"] = ModuleType("solution")  # dataclasses look their module up
    names = vars(module)
    for name in request.get("remote", ()):
        names[name] = _stand_in(wires, name)
    _set_timers(test_s)
    exec(code, names)  # this is what the sandbox is for
    _set_timers(0)
    return names


def _stand_in(wires: Wires, name: str) -> Callable[..., Any]:
    """A function that has the call made in the other sandbox, and gives back the plain value that comes of it."""

    def call(*args: Any, **kwargs: Any) -> Any:
        wires.send(call=name, args=to_json(args), kwargs=to_json(kwargs))
        answer = wires.receive()
        if answer["ending"] == "returned":
            return from_json(answer["value"])
        raise RuntimeError(f"{name}: {answer['detail'] or answer['ending']}")

    call.__name__ = name
    return call


def _forked(wires: Wires, test: dict[str, Any], run: Callable[..., dict[str, Any]], test_s: float) -> bool:
    """Runs one test in a process of its own, and says what became of it; false where it ran out of time."""
    printed, said = _unnamed_file() if "stdin" in test else None, {}
    child = os.fork()
    if child == 0:
        _be_a_test(wires, test, run, printed, test_s)
    _, status = os.waitpid(child, 0)
    if status == _PRINTED << 8 and printed is not None:
        printed.seek(0)
        wires.send(i=test["i"], ending="returned", value=to_json(printed.read().decode(errors="replace")))
    elif status != _WROTE << 8:
        said = _ended(status)
        wires.send(i=test["i"], **said)
    if printed is not None:
        printed.close()
    return said.get("ending") != "timed_out"


def _in_turn(wires: Wires, tests: list[dict[str, Any]], run: Callable[..., dict[str, Any]], test_s: float) -> None:
    """Runs tests in one process, and in a new one after a test that has ended it."""
    at = mmap.mmap(-1, 8)  # shared with the process that runs them: which one it is at
    first = 0
    while first < len(tests):
        child = os.fork()
        if child == 0:
            for index in range(first, len(tests)):
                at[:] = index.to_bytes(8, "little")
                wires.send(i=index, **_outcome(run, tests[index], test_s))
            os._exit(_WROTE)
        _, status = os.waitpid(child, 0)
        if status == _WROTE << 8:
            return
        first = max(first, int.from_bytes(at[:], "little"))
        said = _ended(status)
        wires.send(i=first, **said)
        first += 1
        if said["ending"] == "timed_out":
            _give_up(wires, range(first, len(tests)))
            return


def _give_up(wires: Wires, indices: Iterable[int]) -> None:
    """Code that hangs on one test would take as long on each of the others, and others are waiting."""
    for index in indices:
        wires.send(i=index, ending="not_run", detail="a test before it ran out of time")


def _outcome(run: Callable[..., dict[str, Any]], test: dict[str, Any], test_s: float) -> dict[str, Any]:
    try:
        _set_timers(test_s)
        said = run(test)
    except BaseException as error:
        said = _raised(error)
    _set_timers(0)
    return said


def _be_a_test(
    wires: Wires, test: dict[str, Any], run: Callable[..., dict[str, Any]], printed: Any, test_s: float
) -> NoReturn:
    if printed is not None:
        _redirect(test["stdin"], printed.fileno())
    said = _outcome(run, test, test_s)
    if printed is not None and said["ending"] == "returned":
        os._exit(_PRINTED)
    wires.send(i=test["i"], **said)
    os._exit(_WROTE)


def _redirect(stdin: str, printed: int) -> None:
    given = _unnamed_file()
    given.write(stdin.encode(errors="replace"))
    given.seek(0)
    os.dup2(given.fileno(), 0)
    os.dup2(printed, 1)


def _unnamed_file() -> Any:
    """A file in the scratch folder that has no name; unbuffered."""
    return open(os.open("/tmp", os.O_TMPFILE | os.O_RDWR, 0o600), "r+b", buffering=0)


def _set_timers(test_s: float) -> None:
    """Death after so much processor time, however busy the machine is, and after five times that on the clock."""
    signal.setitimer(signal.ITIMER_PROF, test_s)
    signal.setitimer(signal.ITIMER_REAL, test_s * _OVERTIME_FACTOR)


def _call(names: dict[str, Any], function: str, test: dict[str, Any]) -> dict[str, Any]:
    if not callable(names.get(test.get("function", function))):
        return {"ending": "raised", "detail": f"the code defines no function {function}"}
    args, kwargs = from_json(test["args"]), from_json(test.get("kwargs", '{"dict": []}'))
    value = names[test.get("function", function)](*args, **kwargs)
    try:
        return {"ending": "returned", "value": to_json(value)}
    except NotPlainError as error:
        return {"ending": "not_plain", "detail": str(error)}


def _run(code: CodeType) -> dict[str, Any]:
    module = sys.modules["__main__"] = ModuleType("__main__")
    names = vars(module)
    try:
        exec(code, names)
    except SystemExit as stop:
        if stop.code not in (None, 0):
            return {"ending": "exited", "detail": f"exit with {str(stop.code)[:_DETAIL]}"}
    sys.stdout.flush()
    return {"ending": "returned"}


def _check(names: dict[str, Any], test: dict[str, Any]) -> dict[str, Any]:
    exec(compile(test["source"], "tests.py", "exec", dont_inherit=True), names)
    return {"ending": "returned", "value": "true"}


def _raised(error: BaseException) -> dict[str, Any]:
    if isinstance(error, MemoryError):
        return {"ending": "out_of_memory", "detail": "MemoryError"}
    if isinstance(error, NotPlainError):
        return {"ending": "not_plain", "detail": str(error)}
    try:
        said = f"{type(error).__name__}: {error}".removesuffix(": ")
    except BaseException:  # its own __str__ may raise
        said = type(error).__name__
    return {"ending": "raised", "detail": " ".join(said[:1000].split())[:_DETAIL]}


def _ended(status: int) -> dict[str, Any]:
    """What a process came to that has not said so itself."""
    if os.WIFEXITED(status):
        return {"ending": "exited", "detail": f"the process ended itself with status {os.WEXITSTATUS(status)}"}
    number = os.WTERMSIG(status)
    if number in (signal.SIGPROF, signal.SIGALRM, signal.SIGXCPU):
        return {"ending": "timed_out", "detail": signal.strsignal(number)}
    if number == signal.SIGXFSZ:
        return {"ending": "too_much_output", "detail": "it wrote more than one file may hold"}
    return {"ending": "crashed", "detail": signal.Signals(number).name}
