"""What a sandbox gives back: values, printed text, how each test ended; and the one line where there is none."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

import rlvr_rewards
from rlvr_rewards import UserError
from rlvr_rewards.sandbox import Backend, Ending, Limits, backends, call_function, check_asserts, run_program
from rlvr_rewards.sandbox.inside.plain import NotPlainError, from_json, to_json
from rlvr_rewards.sandbox.inside.seccomp import ARCHITECTURES, filter_program
from rlvr_rewards.sandbox.running import free_names

SYSTEM_PYTHON = "/usr/bin/python3"
VALUES = [
    None,
    True,
    0,
    -7,
    10**100,
    1.5,
    float("inf"),
    "é\ud800\n",
    [],
    [1, [2]],
    (1,),
    {1, 2},
    {"a": 1, 2: [3]},
    {(1, 2)},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_plain_value_goes_in_and_comes_back_as_it_was(backend, value):
    (result,) = call_function("def same(x): return x", "same", [[value]], backend=backend).results
    assert result.value == value and type(result.value) is type(value)


@pytest.mark.parametrize(
    "returned", ["object()", "lambda: 1", "iter([1])", "b'x'", "1j", "__import__('os')", "10**5000"]
)
def test_what_is_not_plain_cannot_leave(backend, returned):
    (result,) = call_function(f"def f(): return {returned}", "f", [[]], backend=backend).results
    assert result.ending is Ending.NOT_PLAIN and result.value is None


def test_a_list_that_holds_itself_is_refused(backend):
    code = "def f():\n    xs = []\n    xs.append(xs)\n    return xs"
    assert call_function(code, "f", [[]], backend=backend).results[0].ending is Ending.NOT_PLAIN


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{}", '{"a": 1}', '{"set": [[1]]}', '{"dict": [1]}', "9" * 5000, "NaN x"]
)
def test_hostile_text_is_no_plain_value(text):
    with pytest.raises(NotPlainError):
        from_json(text)


def test_subclasses_leave_as_what_they_are_based_on():
    class Yes(int):
        def __eq__(self, other):
            return True

        __hash__ = None

    assert from_json(to_json([Yes(5)])) != [6]


def test_every_test_has_its_own_ending(backend):
    code = """
import os, time
def f(n):
    if n == 1: raise ValueError("no\\nway")
    if n == 2: os._exit(3)
    if n == 3: return open("/etc/passwd").read()
    if n == 5:
        while True: pass
    return n
"""
    outcome = call_function(code, "f", [[n] for n in range(7)], Limits(test_s=0.3), backend=backend)
    assert [result.ending for result in outcome.results] == [
        Ending.RETURNED,
        Ending.RAISED,
        Ending.EXITED,
        Ending.RAISED,
        Ending.RETURNED,
        Ending.TIMED_OUT,
        Ending.NOT_RUN,  # who hangs once is not waited for again
    ]
    assert outcome.results[1].detail == "ValueError: no way" and outcome.ending is Ending.RETURNED


@pytest.mark.parametrize(
    ("code", "ending", "says"),
    [
        ("def f(:", Ending.RAISED, "SyntaxError"),
        ("import numpy", Ending.RAISED, "No module named 'numpy'"),
        ("raise SystemExit", Ending.RAISED, "SystemExit"),
        ("while True: pass", Ending.TIMED_OUT, "loading"),
        ("g = 1", Ending.RAISED, "no function f"),
        ("f = 1", Ending.RAISED, "no function f"),
        ("(" * 100_000, Ending.RAISED, ""),
        ("def f(): return \x00", Ending.RAISED, "null bytes"),
    ],
)
def test_code_that_cannot_be_loaded_fails_every_test(backend, code, ending, says):
    outcome = call_function(code, "f", [[], []], Limits(test_s=0.3), backend=backend)
    assert [result.ending for result in outcome.results] == [ending] * 2
    assert says in outcome.results[0].detail


def test_ordinary_modules_work(backend):
    code = """
from __future__ import annotations
import asyncio, collections, dataclasses, decimal, functools, heapq, itertools, math, random, re, statistics, tempfile
@dataclasses.dataclass
class Point:
    x: int
    y: "list[int]" = dataclasses.field(default_factory=list)
async def later(n):
    await asyncio.sleep(0.001)
    return n
def f(n):
    with tempfile.NamedTemporaryFile("w+") as file:
        file.write("x")
    print("noise")
    return [asyncio.run(later(n)), Point(n).x, math.gcd(n, 6), collections.Counter("aab"), str(decimal.Decimal(n))]
"""
    result = call_function(code, "f", [[4]], backend=backend).results[0]
    assert result.value == [4, 4, 2, {"a": 2, "b": 1}, "4"], result


def test_programs_read_print_and_exit(backend):
    code = "import sys\nxs = [int(x) for x in sys.stdin]\nif not xs: sys.exit(3)\nprint(sum(xs))\nsys.exit()"
    first, second = run_program(code, ["1\n2\n", ""], backend=backend).results
    assert first.value == "3\n" and second.ending is Ending.EXITED
    slow = "def main(): print(input())\nif __name__ == '__main__': main()"
    assert [r.value for r in run_program(slow, ["é", "b"], backend=backend).results] == ["é\n", "b\n"]


def test_humaneval_and_mbpp_forms(backend):
    code = "def close(xs, t):\n    return any(abs(a - b) < t for i, a in enumerate(xs) for b in xs[i + 1:])"
    humaneval = "METADATA = {}\ndef check(candidate):\n    assert candidate([1.0, 2.0, 3.9], 0.3) == False\n"
    humaneval += "    for t in (1.5, 2.0):\n        assert candidate([1.0, 2.0], t)\ncheck(close)"
    mbpp = ["assert close([1], 1) == False", "assert set([close([1, 1], 1)]) == {True}", "assert close([1, 5], 1)"]
    outcome = check_asserts(code, [humaneval, *mbpp], setup="import math", backend=backend)
    assert [result.ending is Ending.RETURNED for result in outcome.results] == [True, True, True, False]


def test_an_exception_of_the_code_is_named_beside_the_assertion_that_met_it(backend):
    (result,) = check_asserts("def f(): return 1 / 0", ["assert f() == 1"], backend=backend).results
    assert result.ending is Ending.RAISED and "ZeroDivisionError" in result.detail


def test_the_tests_names_are_those_they_do_not_make_themselves():
    assert free_names("assert first(sorted(xs) for xs in [[1]]) == abs(second(1))") == {"first", "second"}
    with pytest.raises(UserError, match="the tests are no Python"):
        free_names("assert (")


def test_tests_that_cannot_be_set_up_are_the_data_s_fault(backend):
    with pytest.raises(UserError, match="the tests cannot be set up: ModuleNotFoundError"):
        check_asserts("def f(): return 1", ["assert f()"], setup="import not_there", backend=backend)


def test_as_many_run_at_once_as_there_are_cores_and_all_come_back(backend):
    outcomes = []

    def run(n):
        outcomes.append(call_function("def f(n): return n", "f", [[n]], backend=backend))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcome.results[0].value for outcome in outcomes) == list(range(12))


def test_nothing_is_left_open(backend):
    call_function("def f(): return 1", "f", [[]], backend=backend)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for code in ("def f(): return 1", "def f(:", "import os; os._exit(1)"):
        call_function(code, "f", [[]], backend=backend)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_process_that_is_killed_leaves_no_sandbox_behind():
    code = (
        "from rlvr_rewards.sandbox import *; import sys; print('up', flush=True); "
        "call_function('import ctypes, time\\nctypes.CDLL(None).prctl(15, b\"orphaned\", 0, 0, 0)\\ntime.sleep(60)', "
        "'f', [[]], Limits(wall_s=60, test_s=20))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"up\n"
    assert _until(lambda: "orphaned" in _names())
    process.kill()
    process.wait()
    assert _until(lambda: "orphaned" not in _names())
    process.stdout.close()


def _until(holds):
    end = time.monotonic() + 15
    while not holds() and time.monotonic() < end:
        time.sleep(0.05)
    return holds()


def _names():
    names = set()
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            names.add(path.read_text().strip())
        except OSError:
            continue
    return names


def test_where_nothing_is_safe_one_line_says_how_to_mend_it(monkeypatch):
    monkeypatch.setattr(backends, "why_not", lambda candidate: "memory is not limited")
    backends.backend.cache_clear()
    try:
        with pytest.raises(UserError, match=r"so none is run.*namespaces: memory is not limited.*apt-get") as raised:
            call_function("def f(): return 1", "f", [[]])
        assert "\n" not in str(raised.value)
    finally:
        backends.backend.cache_clear()


def test_an_ordinary_user_has_sandboxes_too(backend):
    """As nobody, with the system's Python: no root, so the namespaces begin with one for users."""
    if os.geteuid() != 0 or _version_of(SYSTEM_PYTHON) < (3, 11):
        pytest.skip("needs root to become nobody, and a Python that nobody may read")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(Path(rlvr_rewards.__file__).parent, f"{folder}/rlvr_rewards")
        Path(folder).chmod(0o755)
        code = "import os, sys; from rlvr_rewards.sandbox import *; b = Backend(sys.argv[1]); "
        code += "print(os.geteuid(), why_not(b)); "
        code += "print(call_function('def f(x): return x + 1', 'f', [[1]], backend=b).results[0].value)"
        command = [SYSTEM_PYTHON, "-B", "-c", code, backend]
        said = subprocess.run(
            command, cwd=folder, user=65534, group=65534, extra_groups=[], capture_output=True, text=True
        )
    assert said.stdout.split() == ["65534", "2"], said.stdout + said.stderr


def _version_of(python):
    if not Path(python).exists():
        return (0, 0)
    code = "import sys; print(*sys.version_info[:2])"
    return tuple(map(int, subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.split()))


def test_one_backend_may_be_demanded(monkeypatch, backend):
    try:
        monkeypatch.setenv("RLVR_SANDBOX", backend)
        backends.backend.cache_clear()
        assert backends.backend() is backend
        monkeypatch.setenv("RLVR_SANDBOX", "docker")
        backends.backend.cache_clear()
        with pytest.raises(UserError, match=r"unknown sandbox .*'docker'.*Known: bubblewrap, namespaces"):
            backends.backend()
    finally:
        backends.backend.cache_clear()


def test_a_forked_process_has_sandboxes_of_its_own(backend):
    call_function("def f(): return 1", "f", [[]], backend=backend)
    child = os.fork()
    if child == 0:
        value = call_function("def f(): return 7", "f", [[]], backend=backend).results[0].value
        os._exit(value)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_machine_too_busy_to_start_one_is_an_error_and_no_failed_test(backend):
    with pytest.raises(UserError, match="not ready in time"):
        call_function("def f(): return 1", "f", [[]], Limits(wall_s=0.001), backend=backend)


def test_a_sandbox_that_cannot_be_set_up_says_why(monkeypatch):
    monkeypatch.setattr(backends, "files", lambda: (("/no such folder", "/usr"),))
    with pytest.raises(UserError, match=r"the sandbox could not be set up: .*mount of"):
        call_function("def f(): return 1", "f", [[]], backend=Backend.NAMESPACES)


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_the_filter_is_whole_instructions_that_end_in_a_verdict(machine):
    program = filter_program(machine)
    assert len(program) % 8 == 0 and len(program) // 8 < 4096
    assert program[-8:-6] == b"\x06\x00"
    with pytest.raises(ValueError, match="no list of system calls for sparc"):
        filter_program("sparc")


@pytest.mark.parametrize("limits", [{"wall_s": 0}, {"memory_mb": 10}, {"processes": -1}])
def test_limits_that_make_no_sense_are_refused(limits):
    with pytest.raises(UserError, match="sandbox limits"):
        Limits(**limits)
