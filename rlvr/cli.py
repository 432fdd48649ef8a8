"""The `rlvr` command: finds the subcommand, runs it, and turns what went wrong into an exit code.

A subcommand is a module of `rlvr.commands` with a docstring (its first line is the help), `configure(parser)` and
`run(args) -> int`; a new module there is found by itself. Nothing but the standard library is imported before the
subcommand runs, so that `rlvr --help` answers at once.

Exit codes: 0 done, 1 failed work (one line where we know the reason, otherwise a traceback; silently where the reader
of our output went away), 2 bad input (one line), 130 Ctrl-C, 143 SIGTERM.
"""

import argparse
import contextlib
import importlib
import os
import pkgutil
import sys
import traceback
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from rlvr import commands
from rlvr.failure import WorkError
from rlvr.stopping import Terminated, sigterm_raises

DONE, FAILED, BAD_INPUT, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143


class Parser(argparse.ArgumentParser):
    """An argument parser whose refusals are one line, and which offers the nearest option for an unknown one."""

    def parse_args(self, args: Sequence[str], namespace: None = None) -> argparse.Namespace:  # pyright: ignore[reportIncompatibleMethodOverride]
        self._refuse_unknown_options(args)
        return super().parse_args(args)

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"rlvr: {message} (see {self.prog} --help)\n")

    def _refuse_unknown_options(self, args: Sequence[str]) -> None:
        """Runs before parsing proper, which would complain of a missing `--env` where `--evn` was written."""
        known = [name for name in self._option_string_actions if name.startswith("--")]
        for argument in args:
            name = argument.partition("=")[0]
            if name == "--":
                return
            if name.startswith("--") and " " not in name and name not in known:
                from rlvr_rewards.errors import unknown_name

                self.error(str(unknown_name("option", name, known)))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line, by default that of the process, and returns its exit code.

    Raises:
        SystemExit: The command line itself cannot be read (code 2), or only asks for help or the version (code 0).
    """
    if hasattr(sys.stdout, "reconfigure"):  # text of a model may hold what no encoding can say
        sys.stdout.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]
    try:
        with sigterm_raises():
            code = _run(sys.argv[1:] if argv is None else list(argv))
            sys.stdout.flush()
        return code
    except Terminated:
        return _stopped("stopped by SIGTERM", TERMINATED)
    except KeyboardInterrupt:
        return _stopped("interrupted", INTERRUPTED)
    except BrokenPipeError:
        _silence_stdout()
        return FAILED
    except WorkError as error:
        return _said(str(error), FAILED)
    except Exception as error:
        from rlvr_rewards.errors import UserError

        if isinstance(error, UserError):
            return _said(str(error), BAD_INPUT)
        _let_first_speak()
        traceback.print_exc()
        return FAILED


def command_names() -> list[str]:
    """The subcommands: every public module of `rlvr.commands`."""
    return sorted(info.name for info in pkgutil.iter_modules(commands.__path__) if not info.name.startswith("_"))


def _run(argv: list[str]) -> int:
    if not argv or argv[0].startswith("-"):
        _top_parser().parse_args(argv or ["--help"])
        return DONE
    name, *rest = argv
    command = _command(name)
    parser = Parser(
        prog=f"rlvr {name}",
        description=command.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.configure(parser)
    return command.run(parser.parse_args(rest))


def _command(name: str) -> ModuleType:
    if name not in command_names():
        from rlvr_rewards.errors import unknown_name

        raise unknown_name("command", name, command_names())
    return importlib.import_module(f"{commands.__name__}.{name}")


def _top_parser() -> Parser:
    parser = Parser(
        prog="rlvr",
        usage="rlvr COMMAND [options]",
        description="Reinforcement learning with verifiable rewards.",
        epilog="\n".join(["commands:", *_command_lines(), "", "rlvr COMMAND --help says more about one."]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    return parser


def _command_lines() -> list[str]:
    return [f"  {name:<10} {(_command(name).__doc__ or '').strip().splitlines()[0]}" for name in command_names()]


class _Version(argparse.Action):
    """Looks the version up when asked, since reading package metadata costs more than all of `--help`."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"rlvr {version('rlvr')}")
        parser.exit(DONE)


def _stopped(message: str, code: int) -> int:
    """Of several processes of a run, the first one says so for all."""
    return _said(message, code) if os.environ.get("RANK", "0") == "0" else code


def _said(message: str, code: int) -> int:
    from rlvr_rewards.errors import printable

    _let_first_speak()
    with contextlib.suppress(BrokenPipeError):
        print(f"rlvr: {printable(' '.join(message.split()))}", file=sys.stderr)
    return code


def _let_first_speak() -> None:
    """One of several processes of a run leaves it to the first one to say what went wrong."""
    if os.environ.get("WORLD_SIZE", "1") != "1" and os.environ.get("RANK", "0") != "0":
        from rlvr.pipeline.processes import let_first_speak
        from rlvr_rewards.errors import UserError

        with contextlib.suppress(UserError):  # that a number of a process is none, which is being said
            let_first_speak()


def _silence_stdout() -> None:
    """Lets the interpreter flush its buffer into nothing at exit, where it would complain of the broken pipe again."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
