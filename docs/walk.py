"""Walks a page as a reader would: its files written, its commands run in order in an empty folder, each one timed.

    python docs/walk.py docs/new_reward.md [--until "rlvr run my_run.toml"]

A file is a fenced block under a line that ends with its name in backquotes and a colon; commands are the `bash` blocks.
`tests/test_walk.py` walks the same way.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"(?:`([\w./-]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """One thing that the reader does.

    Attributes:
        command: What is run; `None` where a file is written.
        file, text: The file, and what it holds.
    """

    command: str | None = None
    file: str = ""
    text: str = ""


@dataclass(frozen=True)
class Done:
    """A command that was run."""

    command: str
    seconds: float
    code: int
    output: str


def steps_of(page: str) -> Iterator[Step]:
    """The files and commands of a page, in order; a command ends with its line, unless that ends with a backslash."""
    for file, language, text in _BLOCK.findall(page):
        if file:
            yield Step(file=file, text=text)
        elif language == "bash":
            for command in re.split(r"(?<!\\)\n", text.strip()):
                yield Step(command=command)


def walk(page: str, folder: Path, until: str = "") -> Iterator[Done]:
    """Takes the steps one by one; stops before the command `until`, and after one that fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for step in steps_of(page):
        if step.command is None:
            (folder / step.file).write_text(step.text, encoding="utf-8")
            continue
        if step.command == until:
            return
        started = time.perf_counter()
        done = subprocess.run(
            ["bash", "-c", step.command],
            cwd=folder,
            env={**os.environ, "PATH": path, "NO_COLOR": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        yield Done(step.command, time.perf_counter() - started, done.returncode, done.stdout)
        if done.returncode:
            return


def cell(command: str) -> str:
    """A command as it stands in a table."""
    return f"`{command}`".replace("|", "\\|")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("--until", default="", help="stop before this command")
    parser.add_argument("--show", action="store_true", help="show what each command prints")
    args = parser.parse_args()
    total, code = 0.0, 0
    print("| command | seconds |\n|---|---:|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for done in walk(args.page.read_text(encoding="utf-8"), Path(folder), args.until):
            total, code = total + done.seconds, done.code
            print(f"| {cell(done.command)} | {done.seconds:.1f} |", flush=True)
            if args.show or code:
                print(done.output)
    print(f"| all of it | {total:.0f} |")
    print(f"\n{os.cpu_count()} CPU cores, {platform.system()}, Python {platform.python_version()}")
    return code


if __name__ == "__main__":
    sys.exit(main())
