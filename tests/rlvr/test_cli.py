"""The command line: what it offers, how it refuses, and with which code it ends."""

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from rlvr import cli
from rlvr.cli import main
from rlvr.failure import WorkError
from rlvr_rewards import UserError


def run_python(code, **kwargs):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, **kwargs)


def command(monkeypatch, run):
    """`rlvr probe` runs `run`."""
    module = SimpleNamespace(
        __name__="probe", __doc__="A probe.", configure=lambda parser: parser.add_argument("--size"), run=run
    )
    monkeypatch.setattr(cli, "_command", lambda name: module)


def test_help_lists_every_command_with_its_purpose(capsys):
    with pytest.raises(SystemExit) as done:
        main(["--help"])
    out = capsys.readouterr().out
    assert done.value.code == 0
    for name in ("doctor", "envs", "new", "play", "rewards", "score"):
        assert any(line.split()[0] == name and len(line.split()) > 2 for line in out.splitlines() if line.strip())


@pytest.mark.parametrize("name", cli.command_names())
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as done:
        main([name, "--help"])
    assert done.value.code == 0
    assert f"usage: rlvr {name}" in capsys.readouterr().out


def test_version(capsys):
    with pytest.raises(SystemExit) as done:
        main(["--version"])
    assert done.value.code == 0
    assert capsys.readouterr().out.startswith("rlvr 0.")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["scoer"], "did you mean 'score'?"),
        (["score", "--evn", "arithmetic"], "did you mean '--env'?"),
        (["score", "--env"], "--env: expected one argument"),
        (["envs", "arithmetik"], "did you mean 'arithmetic'?"),
        (["envs", "arithmetic?larges=9"], "did you mean 'largest'?"),
        (["envs", "arithmetic?largest=many"], "largest='many'"),
        (["envs", "arithmetic", "--split", "tset"], "no split 'tset'"),
        (["envs", "nowhere.py:Mine"], "nowhere.py: no such file"),
        (["envs", "arithmetic", "--n", "0"], "--n starts at 1"),
        (["rewards", "exact_numbr"], "did you mean 'exact_number'?"),
        (["rewards", "exact_number +"], "cannot be read"),
        (["rewards", "__import__('os').system('true')"], "not understood"),
        (["play", "--env", "arithmetic", "--n", "0"], "nothing to play"),
        (["new", "env", "2fast"], "cannot be a name"),
        (["new", "reward", "class"], "cannot be a name"),
        (["new", "env", "random"], "choose another name"),
        (["new", "reward", "test_it"], "pytest"),
        (["new", "planet", "mars"], "invalid choice: 'planet'"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(argv, said, capsys):
    try:
        code = main(argv)
    except SystemExit as exit_:
        code = exit_.code
    err = capsys.readouterr().err
    assert code == 2
    assert said in err
    assert err.startswith("rlvr: ") and err.count("\n") == 1


def test_a_bug_of_ours_shows_its_traceback_and_code_1(monkeypatch, capsys):
    command(monkeypatch, lambda args: 1 // 0)
    assert main(["probe"]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_user_error_of_many_lines_becomes_one(monkeypatch, capsys):
    def fail(args):
        raise UserError("first\nsecond")

    command(monkeypatch, fail)
    assert main(["probe"]) == 2
    assert capsys.readouterr().err == "rlvr: first second\n"


@pytest.mark.parametrize(("error", "code"), [(UserError, 2), (WorkError, 1)])
def test_what_an_error_quotes_does_not_steer_the_terminal(monkeypatch, capsys, error, code):
    def fail(args):
        raise error("the server says \x1b[2J")

    command(monkeypatch, fail)
    assert main(["probe"]) == code
    assert capsys.readouterr().err == "rlvr: the server says \\x1b[2J\n"


def test_ctrl_c_is_130_and_sigterm_143_and_both_unwind(monkeypatch, capsys):
    unwound = []

    def stop(args):
        try:
            os.kill(os.getpid(), getattr(signal, args.size))
            time.sleep(5)
        finally:
            unwound.append(args.size)

    command(monkeypatch, stop)
    before = signal.getsignal(signal.SIGTERM)
    assert main(["probe", "--size", "SIGINT"]) == 130
    assert main(["probe", "--size", "SIGTERM"]) == 143
    assert unwound == ["SIGINT", "SIGTERM"]
    assert signal.getsignal(signal.SIGTERM) is before
    assert "Traceback" not in capsys.readouterr().err


def test_a_reader_that_leaves_is_no_error_message():
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m rlvr envs arithmetic --show 5000 --n 1 | head -1"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == cli.FAILED
    assert done.stderr == ""


def test_help_imports_nothing_heavy():
    done = run_python(
        "import sys; from rlvr.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'pydantic', 'rich', 'gymnasium', 'numpy', 'torch', 'transformers', 'datasets'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", ["rlvr", "rlvr_rewards", "rlvr_envs"])
def test_packages_import_no_torch(package):
    done = run_python(
        f"import sys, {package}\n"
        "heavy = {'torch', 'transformers', 'datasets', 'trl', 'peft'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    assert done.returncode == 0, done.stderr


def test_listing_and_showing_need_no_torch():
    done = run_python(
        "import sys; from rlvr.cli import main\n"
        "for argv in (['envs'], ['rewards'], ['envs', 'arithmetic'], ['rewards', 'exact_number']):\n"
        "    assert main(argv) == 0\n"
        "sys.exit('torch was imported' if 'torch' in sys.modules else 0)"
    )
    assert done.returncode == 0, done.stderr


def test_sigterm_during_training_ends_with_143_and_ctrl_c_with_130(monkeypatch):
    callbacks = pytest.importorskip("rlvr.pipeline.callbacks", reason="needs the train extra")

    def stopped_by(number):
        def run(args):
            stop = callbacks.StopRequest(lambda number: None)
            stop.request(number)
            stop.raise_if_requested()

        command(monkeypatch, run)
        return main(["probe"])

    assert (stopped_by(signal.SIGTERM), stopped_by(signal.SIGINT)) == (143, 130)
