"""Whether code passes its tests: outputs from the sandbox, compared here with what was expected.

The same completion is asked about several times (a part, another part, the verdict, what to say of it), so what was
found is kept: code and tests decide it.
"""

import json
import math
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from rlvr_rewards.errors import UserError
from rlvr_rewards.sandbox.limits import Limits
from rlvr_rewards.sandbox.outcome import Ending, Outcome
from rlvr_rewards.sandbox.running import call_function, check_asserts, run_program

MAX_CHARACTERS = 100_000
"""Code longer than this is not run."""
WRONG_OUTPUT = "wrong_output"
_KEPT = 4096


@dataclass(frozen=True)
class Verdict:
    """What became of the tests.

    Attributes:
        passed: Whether each test passed, in order.
        failure: Why the first that failed did: an `Ending`, or `wrong_output`; empty where all passed.
        detail: In words; the code may have written them.
    """

    passed: tuple[bool, ...]
    failure: str = ""
    detail: str = ""

    @property
    def share(self) -> float:
        """The share of tests that passed, in [0, 1]."""
        return sum(self.passed) / len(self.passed)


def judge(
    code: str,
    tests: Sequence[Mapping[str, Any]] | Sequence[str],
    entry_point: str = "",
    *,
    limits: Limits | None = None,
    rel: float = 1e-6,
) -> Verdict:
    """Runs the tests, or remembers what they gave.

    Args:
        code: What the model wrote.
        tests: Pairs `{"input": …, "output": …}` of JSON values, or texts of assertions (`check_asserts`).
        entry_point: The function that the pairs are for: an input is the list of its arguments. Without one the code is
            a program, an input the text on its standard input, an output what it prints, white space at the ends of
            lines and of the whole aside.
        limits: What it may use.
        rel: How far an output that is not a whole number may be off, as a share of the expected one.

    Raises:
        UserError: The tests cannot be used, or no safe sandbox can be had here.
    """
    tests = checked_tests(tests, entry_point)
    if len(code) > MAX_CHARACTERS:
        return _all_failed(tests, Ending.NOT_RUN, f"the code is longer than {MAX_CHARACTERS:,} characters")
    if entry_point and entry_point not in code:
        return _all_failed(tests, Ending.NOT_RUN, f"the code defines no function {entry_point}")
    limits = limits or Limits()
    key = (code, json.dumps(tests, sort_keys=True), entry_point, limits, rel)
    return _remembered(key, lambda: _judge(code, tests, entry_point, limits, rel))


def same(expected: Any, found: Any, rel: float = 1e-6) -> bool:
    """Whether a plain value is the one expected, which is JSON: a tuple may stand for a list, nothing else for another.

    True and 1 differ. Whole numbers are equal or not; where a fraction is expected, `rel` of it is allowed.

    >>> same([1, [2.5, "a"]], (1, [2.5000000001, "a"])), same(1, True), same(10**20, 10**20 + 1), same(3, 3.0)
    (True, False, False, True)
    """
    if isinstance(expected, bool) or isinstance(found, bool) or expected is None:
        return expected is found
    if isinstance(expected, float) and isinstance(found, int | float):
        return _close(expected, found, rel)
    if isinstance(expected, list) and isinstance(found, list | tuple):
        return len(expected) == len(found) and all(same(*pair, rel) for pair in zip(expected, found, strict=True))
    if isinstance(expected, dict) and isinstance(found, dict):
        return expected.keys() == found.keys() and all(same(expected[key], found[key], rel) for key in expected)
    return isinstance(expected, int | str) and isinstance(found, int | float | str) and expected == found


def _close(expected: float, found: float, rel: float) -> bool:
    try:
        return math.isclose(expected, found, rel_tol=rel, abs_tol=1e-9)
    except OverflowError:  # a whole number beyond any float
        return False


def _judge(code: str, tests: list[Any], entry_point: str, limits: Limits, rel: float) -> Verdict:
    if isinstance(tests[0], str):
        outcome = check_asserts(code, tests, limits=limits)
        return _verdict(outcome, [True] * len(tests))
    inputs = [test["input"] for test in tests]
    if entry_point:
        outcome = call_function(code, entry_point, inputs, limits)
        right = [same(test["output"], result.value, rel) for test, result in zip(tests, outcome.results, strict=True)]
    else:
        outcome = run_program(code, inputs, limits)
        right = [
            _lines(test["output"]) == _lines(result.value or "")
            for test, result in zip(tests, outcome.results, strict=True)
        ]
    return _verdict(outcome, right)


def _verdict(outcome: Outcome, right: Sequence[bool]) -> Verdict:
    ended = [result.ending is Ending.RETURNED for result in outcome.results]
    passed = tuple(a and b for a, b in zip(ended, right, strict=True))
    if all(passed):
        return Verdict(passed)
    first = outcome.results[passed.index(False)]
    if first.ending is Ending.RETURNED:
        return Verdict(passed, WRONG_OUTPUT)
    return Verdict(passed, first.ending, first.detail)


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]


def _all_failed(tests: Sequence[Any], ending: Ending, detail: str) -> Verdict:
    return Verdict((False,) * len(tests), ending, detail)


def checked_tests(tests: Any, entry_point: str) -> list[Any]:
    """The tests as a list of one kind: a fault of theirs is the data's, never the completion's."""
    if not isinstance(tests, list | tuple) or not tests:
        raise UserError(f"tests: a list of tests is needed, not {str(tests)[:80]!r}")
    if all(isinstance(test, str) for test in tests):
        return list(tests)
    kind, what = (list, "the list of arguments") if entry_point else (str, "text")
    for test in tests:
        if not isinstance(test, Mapping) or not {"input", "output"} <= test.keys():
            raise UserError(f'tests: each must be {{"input": …, "output": …}} or an assertion, not {str(test)[:80]!r}')
        if not isinstance(test["input"], kind) or (not entry_point and not isinstance(test["output"], str)):
            raise UserError(f"tests: an input must be {what}, not {str(test)[:80]!r}")
    return [{"input": test["input"], "output": test["output"]} for test in tests]


_verdicts: OrderedDict[Any, Future[Verdict]] = OrderedDict()
_lock = threading.Lock()


def _forget() -> None:
    """After a fork nobody is left to finish what threads had begun."""
    global _lock
    _lock = threading.Lock()
    _verdicts.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _remembered(key: Any, find: Any) -> Verdict:
    """What was found under a key; where another thread is looking, its finding is waited for."""
    with _lock:
        future = _verdicts.get(key)
        is_ours = future is None
        if future is None:
            future = _verdicts[key] = Future()
            if len(_verdicts) > _KEPT:
                _verdicts.popitem(last=False)
        _verdicts.move_to_end(key)
    if not is_ours:
        return future.result()
    try:
        future.set_result(find())
    except BaseException as error:
        with _lock:
            _verdicts.pop(key, None)
        future.set_exception(error)
        raise
    return future.result()
