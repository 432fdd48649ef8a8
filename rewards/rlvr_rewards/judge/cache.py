"""Judgments on disk, so that the same question is paid once, and a resumed run gets the same answer.

One SQLite file, which several processes may use at once. What is in it is text and numbers; nothing is unpickled. A key
is a hash of all that was asked, the server's address and the model included, so that a file can be shared by runs.
"""

import contextlib
import os
import sqlite3
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rlvr_rewards.errors import UserError

OFF = "off"
_WAIT_S = 30.0
_COLUMNS = "key TEXT PRIMARY KEY, text TEXT, tokens_in INT, tokens_out INT, time REAL"
_FIND = "SELECT text, tokens_in, tokens_out FROM replies WHERE key = ?"


@dataclass(frozen=True)
class Reply:
    """What a judge said.

    Attributes:
        text: Its words.
        tokens_in: Of the question, as the server counts; estimated where it does not.
        tokens_out: Of the reply, likewise.
    """

    text: str
    tokens_in: int
    tokens_out: int


def default_path() -> Path:
    """The user's own cache folder: `$XDG_CACHE_HOME/rlvr/judge.sqlite`, by default under `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "rlvr" / "judge.sqlite"


class Cache:
    """Replies by the hash of what was asked.

    Args:
        path: The file; made with its folder where it is not there. `None`: nothing is kept.

    Raises:
        UserError: It cannot be written, or is no such file.
    """

    def __init__(self, path: Path | None) -> None:
        self.path, self._warned = path, False
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._open() as database:
                database.execute("PRAGMA journal_mode=WAL")
                database.execute(f"CREATE TABLE IF NOT EXISTS replies ({_COLUMNS})")
        except (OSError, sqlite3.Error) as error:
            raise UserError(
                f"the judge's cache {path} cannot be used ({error}): name another with cache='FILE', or cache='off'"
            ) from None

    def get(self, key: str) -> Reply | None:
        """The reply to a question, `None` where it was not asked before or cannot be read."""
        if self.path is None:
            return None
        try:
            with self._open() as database:
                row = database.execute(_FIND, [key]).fetchone()
        except sqlite3.Error as error:
            self._warn(error)
            return None
        return Reply(str(row[0]), int(row[1]), int(row[2])) if row else None

    def put(self, key: str, reply: Reply) -> None:
        """Keeps a reply; where that fails it is warned of once, since the judgment itself is good."""
        if self.path is None:
            return
        values = [key, reply.text, reply.tokens_in, reply.tokens_out, time.time()]
        try:
            with self._open() as database:
                database.execute("INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?)", values)
        except sqlite3.Error as error:
            self._warn(error)

    def _warn(self, error: sqlite3.Error) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(f"the judge's cache {self.path} fails ({error}): judgments are paid again", stacklevel=3)

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection for one use: they may not move between threads, and cost a third of a millisecond."""
        with contextlib.closing(sqlite3.connect(self.path or "", timeout=_WAIT_S)) as database:
            database.execute("PRAGMA synchronous=NORMAL")
            with database:
                yield database
