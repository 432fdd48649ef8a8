"""A worker process as its parent sees it: begun, asked, killed. What it does itself stands in `rlvr_rewards.worker`.

It is a new interpreter in a session of its own, with the module path of this process and one socket to it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

MEMORY_MB = 4096
"""What a worker may allocate (`RLVR_REWARD_MEMORY_MB` says another number); beyond it a call raises `MemoryError`."""
_MAX_REPLY_BYTES = 1 << 24
_PROGRAM = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from rlvr_rewards.worker import main; main()"


class WorkerDiedError(RuntimeError):
    """A worker process ended in the middle of a call, or could not begin."""


class WorkerProcess:
    """A worker process, as seen from here.

    Attributes:
        known: The functions it has loaded, and their numbers.
    """

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        memory_mb = os.environ.get("RLVR_REWARD_MEMORY_MB") or str(MEMORY_MB)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, json.dumps(sys.path), str(theirs.fileno()), memory_mb],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"},  # sets in one order in every run
            )
        self.known: dict[Any, int] = {}

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: str, deadline_s: float) -> dict[str, Any]:
        """Its answer.

        Raises:
            TimeoutError: There is none after `deadline_s` seconds.
            WorkerDiedError: It has ended.
        """
        end, received = time.monotonic() + deadline_s, bytearray()
        try:
            self._socket.settimeout(deadline_s)
            self._socket.sendall(request.encode() + b"\n")
            while not received.endswith(b"\n"):
                self._socket.settimeout(max(1e-3, end - time.monotonic()))
                chunk = self._socket.recv(1 << 16)
                if not chunk or len(received) > _MAX_REPLY_BYTES:
                    raise self._death()
                received += chunk
        except (BrokenPipeError, ConnectionResetError):
            raise self._death() from None
        return json.loads(received)

    def _death(self) -> WorkerDiedError:
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return WorkerDiedError("its worker process closed its socket")
        how = f"of signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return WorkerDiedError(f"its worker process died {how}")

    def kill(self) -> None:
        """Kills it and what it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._socket.close()
