"""Writing a file so that nobody ever sees half of it: a hidden file beside it, renamed when complete.

An error or Ctrl-C on the way leaves what was there before. Every failure to write is a `UserError` that names the path.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from rlvr_rewards.errors import UserError


@contextlib.contextmanager
def replacing(path: str, force: bool = False) -> Iterator[BinaryIO]:
    """Opens `path` for writing bytes; `-` is the standard output, and a pipe or device is written as it is.

    Raises:
        UserError: It exists and `force` is not given, or it cannot be written.
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
        hidden = final.with_name(f".{final.name}.{os.getpid()}.tmp")
        stack.callback(hidden.unlink, missing_ok=True)
        with hidden.open("wb") as file:
            yield file
        hidden.replace(final)


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
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error
