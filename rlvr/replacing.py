"""Writing a file or a folder so that nobody ever sees half of it: hidden beside its place, renamed when complete.

An error or Ctrl-C on the way leaves what was there before. `replacing` is for files that the user names, and turns
every failure to write into a `UserError`, a full disk into a `WorkError`; the others are for a run's own files, and let
`OSError` through.
"""

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from rlvr.failure import WorkError
from rlvr.pipeline.disk import disk_problem
from rlvr_rewards.errors import UserError


@contextlib.contextmanager
def replacing(path: str, force: bool = False) -> Iterator[BinaryIO]:
    """Opens `path` for writing bytes; `-` is the standard output, and a pipe or device is written as it is.

    Raises:
        UserError: It exists and `force` is not given, or it cannot be written.
        WorkError: The disk is full, or fails.
    """
    if path == "-":
        yield sys.stdout.buffer
        return
    final = Path(path).resolve()
    _refuse_unfit(path, final, force)
    with _as_user_error(path), contextlib.ExitStack() as stack:
        if final.exists() and not final.is_file():
            yield stack.enter_context(final.open("wb"))
            return
        yield stack.enter_context(_hidden_file(final))


def write_text(path: Path, text: str) -> None:
    """Replaces a file's content in one step."""
    with _hidden_file(path) as file:
        file.write(text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Replaces a file's content with a value as JSON, in one step."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill that takes its place, also that of an earlier one, when the block ends without an error."""
    hidden = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(hidden, ignore_errors=True)  # left by a process that was killed
    hidden.mkdir(parents=True)
    try:
        yield hidden
        if path.exists():
            shutil.rmtree(path)
        hidden.replace(path)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


@contextlib.contextmanager
def _hidden_file(final: Path) -> Iterator[BinaryIO]:
    hidden = final.with_name(f".{final.name}.{os.getpid()}.tmp")
    try:
        with hidden.open("wb") as file:
            yield file
        hidden.replace(final)
    finally:
        hidden.unlink(missing_ok=True)


def _refuse_unfit(path: str, final: Path, force: bool) -> None:
    if final.is_dir():
        raise UserError(f"{path} is a folder: name a file in it")
    if not final.parent.is_dir():
        raise UserError(f"{path}: there is no folder {final.parent}: make it first")
    if final.is_file() and not force:
        raise UserError(f"{path} exists: give --force to replace it, or another name")


@contextlib.contextmanager
def _as_user_error(path: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        kind = WorkError if disk_problem(error) else UserError
        raise kind(f"{path} cannot be written: {error.strerror or error}") from error
