"""Code that passes its tests, run in a sandbox (`rlvr_rewards.sandbox`, docs/sandbox.md; Linux only).

What is run is the last fenced block of Python after the thought, or of what `<answer>` holds, where there is one; what
`<answer>` holds may also be the bare code. Only the standard library can be imported.

`tests` is a list of `{"input": …, "output": …}`. With `entry_point` an input is the list of that function's arguments
and an output what it returns, both JSON; without, they are the texts on standard input and output of a program. The
outputs expected never enter the sandbox: code that ends its process, prints a verdict, edits modules or returns an
object that equals everything earns nothing. `tests` may also be texts of assertions, as MBPP and HumanEval have them
(of HumanEval `test`, a newline, and `check(NAME)` with the function's name). These run in a sandbox of their own, from
which only plain values go to the code and come back: tests of objects, or of arguments changed in place, fail.

A program that crashes, hangs or takes too much fails the tests that it was at. Where no safe sandbox can be had there
is no value but an error, which says how to mend it.
"""

import re
from collections.abc import Mapping, Sequence
from textwrap import dedent
from typing import Any

from rlvr_rewards.examples import Example
from rlvr_rewards.extract import final_text, sole_tagged
from rlvr_rewards.functions import reward

_COLUMNS = {"tests": [{"input": [4], "output": 8}], "entry_point": "double"}
_DOUBLE = "<think>twice</think>\n```python\ndef double(x):\n    return 2 * x\n```"
EXAMPLES = {"code_passes": Example(_DOUBLE, _COLUMNS), "code_tests": Example(_DOUBLE, _COLUMNS)}
Tests = Sequence[Mapping[str, Any]] | Sequence[str]
_FENCE = re.compile(r"[ \t]*```[ \t]*([^\s`]*)[^\n`]*")
_LANGUAGES = frozenset(("", "python", "python3", "py"))
_MAX_DEDENTED = 100_000
_DEADLINE_S = 900.0  # of waiting for a free core too: the time of the code is the sandbox's to keep


def final_code(completion: str, tag: str = "answer") -> str | None:
    r"""The code that a completion ends with; `None` where there is none.

    >>> final_code("<think>try\n```\nx\n```</think>So:\n```python\nprint(1)\n```\nDone.")
    'print(1)'
    >>> final_code("<answer>print(2)</answer>")
    'print(2)'
    >>> final_code("It is print(3).") is None
    True
    """
    text = final_text(completion)
    if text is None:
        return None
    is_tagged = f"<{tag}>" in text or f"</{tag}>" in text
    if is_tagged and (text := sole_tagged(completion, tag)) is None:
        return None
    found, is_fenced = _last_block(text)
    if found is None and is_tagged and not is_fenced:
        found = text
    if found is None:
        return None
    code = found if len(found) > _MAX_DEDENTED else dedent(found)  # dedent is slow where the margin is endless
    return code.strip() or None


def _last_block(text: str) -> tuple[str | None, bool]:
    """The last closed block of Python, and whether there was a fence at all; in time linear in the text."""
    block: str | None = None
    lines: list[str] = []
    language, is_open, is_fenced = "", False, False
    for line in text.split("\n"):
        fence = _FENCE.fullmatch(line.rstrip()) if "```" in line[:80] else None
        if fence is None:
            if is_open:
                lines.append(line)
            continue
        is_fenced = True
        if is_open and not fence[1]:
            is_open = False
            block = "\n".join(lines) if language in _LANGUAGES else block
        else:
            is_open, language, lines = True, fence[1].lower(), []
    return block, is_fenced


@reward(runs="thread", deadline_s=_DEADLINE_S)
def code_passes(
    completion: str,
    tests: Tests,
    entry_point: str = "",
    *,
    test_s: float = 2.0,
    wall_s: float = 30.0,
    memory_mb: int = 512,
    rel: float = 1e-6,
    tag: str = "answer",
) -> float:
    r"""1.0 where the code passes every test; else 0.0.

    `test_s` are processor seconds a test, `wall_s` seconds on the clock for all, `memory_mb` the memory, `rel` how far
    a fraction may be off, as a share of the one expected.

    >>> tests = [{"input": [4], "output": 8}, {"input": [-1], "output": -2}]
    >>> code_passes("<think>twice</think>\n```python\ndef f(x):\n    return 2 * x\n```", tests, "f")
    1.0
    >>> code_passes("```python\ndef f(x):\n    return x + 4\n```", tests, "f")
    0.0
    >>> code_passes("```python\nprint(2 * int(input()))\n```", [{"input": "4\n", "output": "8\n"}])
    1.0
    >>> code_passes("```python\ndef f(x):\n    return 2 * x\n```", ["assert f(4) == 8", "assert f('a') == 'aa'"])
    1.0

    Hacks: ending the process, and an object that equals everything.

    >>> code_passes("```python\nimport os\nos._exit(0)  # f\n```", tests, "f")
    0.0
    >>> yes = "```python\nclass Yes:\n    def __eq__(self, other): return True\ndef f(x): return Yes()\n```"
    >>> code_passes(yes, tests, "f"), code_passes(yes, ["assert f(4) == 8"])
    (0.0, 0.0)

    Raises:
        UserError: The tests cannot be used, or no safe sandbox can be had here.
    """
    return float(_share(completion, tests, entry_point, test_s, wall_s, memory_mb, rel, tag) == 1.0)


@reward(runs="thread", deadline_s=_DEADLINE_S)
def code_tests(
    completion: str,
    tests: Tests,
    entry_point: str = "",
    *,
    test_s: float = 2.0,
    wall_s: float = 30.0,
    memory_mb: int = 512,
    rel: float = 1e-6,
    tag: str = "answer",
) -> float:
    r"""The share of tests that the code passes. Its settings are those of `code_passes`.

    >>> tests = [{"input": [4], "output": 8}, {"input": [2], "output": 4}]
    >>> [code_tests(f"```python\ndef f(x):\n    return {said}\n```", tests, "f") for said in ("2 * x", "x + 4", "x")]
    [1.0, 0.5, 0.0]

    A hack that this cannot tell from an honest start: a constant earns the tests that expect it. Keep its weight well
    below that of passing all, and test with outputs that differ.

    >>> code_tests("```python\ndef f(x):\n    return 8\n```", tests, "f")
    0.5

    Raises:
        UserError: The tests cannot be used, or no safe sandbox can be had here.
    """
    return _share(completion, tests, entry_point, test_s, wall_s, memory_mb, rel, tag)


def _share(
    completion: str, tests: Tests, entry_point: str, test_s: float, wall_s: float, memory_mb: int, rel: float, tag: str
) -> float:
    from rlvr_rewards.sandbox.limits import Limits
    from rlvr_rewards.sandbox.verdict import checked_tests, judge

    limits = Limits(test_s=test_s, wall_s=wall_s, memory_mb=memory_mb)
    tests = checked_tests(tests, entry_point)  # a fault of theirs is one whatever the completion holds
    code = final_code(completion, tag)
    return 0.0 if code is None else judge(code, tests, entry_point, limits=limits, rel=rel).share
