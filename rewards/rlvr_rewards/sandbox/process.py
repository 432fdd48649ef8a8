"""Sandboxes as seen from outside: started through a launcher, spoken with in lines, killed at their deadline.

Nothing that comes from a sandbox is believed here but that it came; lines are length-limited and parsed as JSON.
"""

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from rlvr_rewards.errors import UserError
from rlvr_rewards.sandbox.backends import Backend, sandbox_spec
from rlvr_rewards.sandbox.inside.keeper import Status
from rlvr_rewards.sandbox.interpreter import executable
from rlvr_rewards.sandbox.limits import Limits
from rlvr_rewards.sandbox.outcome import Ending

_ENTRY = "import sys; sys.path.append({folder!r}); from inside.launcher import main; main({parent})"
_CHUNK = 65536
_MAX_LINES = 100_000
_END_S = 5.0


class Launcher:
    """The process that starts sandboxes, one for this process and those threads in it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        entry = _ENTRY.format(folder=str(Path(__file__).resolve().parent), parent=os.getpid())
        self._channel, self._lock = ours, threading.Lock()
        self._process = subprocess.Popen(
            [executable(), "-I", "-S", "-X", "utf8", "-c", entry],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,
        )
        theirs.close()

    def start(self, spec: dict[str, Any], descriptors: list[int]) -> int:
        """Starts a sandbox and returns a pidfd by which it can be killed.

        Raises:
            UserError: The launcher has ended.
        """
        with self._lock:
            try:
                socket.send_fds(self._channel, [json.dumps(spec).encode()], descriptors)
                _, received, _, _ = socket.recv_fds(self._channel, 16, 1)
            except OSError:
                received = []
        if not received:
            code = self._process.wait(_END_S)
            raise UserError(f"the process that starts sandboxes has ended (exit status {code})")
        return received[0]

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        self._channel.close()
        self._process.terminate()  # whoever was forked from us may hold the channel open
        self._process.wait()


_launchers: dict[int, Launcher] = {}
_launchers_lock = threading.Lock()


def launcher() -> Launcher:
    """The launcher of this process; started when first asked for, and again where it has died or we were forked."""
    with _launchers_lock:
        found = _launchers.get(os.getpid())
        if found is None or not found.is_alive():
            found = _launchers[os.getpid()] = Launcher()
            atexit.register(found.close)
        return found


def _forget() -> None:
    """After a fork a lock may be held by a thread that is not there."""
    global _launchers_lock
    _launchers_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


class Sandbox:
    """One sandbox, from its start to its end; a context manager that leaves nothing behind.

    Attributes:
        ending: How it ended; `None` while it runs.
        detail: In words, why.
    """

    def __init__(self, backend: Backend, limits: Limits) -> None:
        self.ending: Ending | None = None
        self.detail = ""
        self._deadline = time.monotonic() + limits.wall_s
        self._max_bytes = 4 * limits.output_kb * 2**10
        self._outgoing, self._partial, self._reports = bytearray(), b"", b""
        self._lines: deque[bytes] = deque()
        self._num_read, self._num_lines, self._is_ready = 0, 0, False
        request_r, self._requests = os.pipe()
        self._results, result_w = os.pipe()
        self._reporting, report_w = os.pipe()
        theirs = [request_r, result_w, report_w]
        try:
            self._pidfd = launcher().start(sandbox_spec(backend, limits), theirs)
        except BaseException:
            for descriptor in (self._requests, self._results, self._reporting):
                os.close(descriptor)
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        os.set_blocking(self._requests, False)

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()
        for descriptor in (self._requests, self._results, self._reporting, self._pidfd):
            os.close(descriptor)

    def kill(self) -> None:
        """Ends it and everything in it; returns when that is done. Nothing happens where it has ended."""
        ended = select.poll()
        ended.register(self._pidfd, select.POLLIN)
        for number in (signal.SIGTERM, signal.SIGKILL):  # asked to, a warden waits until all that it wards has ended
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)
            if ended.poll(_END_S * 1000):
                return

    def send(self, **said: Any) -> None:
        """Queues a line; it leaves while we wait for one."""
        self._outgoing += json.dumps(said).encode() + b"\n"

    def receive(self) -> bytes | None:
        """The next line that is not empty; `None` where it has ended and there is none.

        Raises:
            UserError: The sandbox could not be set up.
        """
        while not self._lines:
            if self.ending is not None or not (self._exchange() or self._lines):
                return None
        return self._lines.popleft()

    def _exchange(self) -> bool:
        """Moves what can be moved, waiting for something to; false where the sandbox has ended."""
        left = self._deadline - time.monotonic()
        if left <= 0 and not self._is_ready:
            raise UserError("the sandbox was not ready in time: this machine is too busy, or wall_s too short")
        if left <= 0:
            return self._end(Ending.TIMED_OUT, "the time for all tests was up")
        poll = select.poll()
        poll.register(self._results, select.POLLIN)
        poll.register(self._reporting, select.POLLIN)
        if self._outgoing:
            poll.register(self._requests, select.POLLOUT)
        ready = dict(poll.poll(left * 1000))
        if self._requests in ready:
            self._write()
        if self._results in ready:
            return self._read()
        if self._reporting in ready:
            return self._heed(os.read(self._reporting, _CHUNK))
        return True

    def _write(self) -> None:
        try:
            del self._outgoing[: os.write(self._requests, self._outgoing[:_CHUNK])]
        except BrokenPipeError:  # it is ending; the report says how
            self._outgoing.clear()

    def _read(self) -> bool:
        data = os.read(self._results, _CHUNK)
        if not self._take(data):
            return self._end(Ending.TOO_MUCH_OUTPUT, "its results were too long")
        return bool(data) or self._heed(os.read(self._reporting, _CHUNK))

    def _take(self, data: bytes) -> bool:
        """Cuts what came into lines, in time linear in it; false where it is more than may come."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._lines.extend(line for line in lines if line)
        self._num_read += len(data)
        self._num_lines += len(lines)
        return self._num_read <= self._max_bytes and self._num_lines <= _MAX_LINES

    def _heed(self, data: bytes) -> bool:
        """Reads the keeper's and the warden's reports, until the one of the end."""
        self._reports += data
        *lines, self._reports = self._reports.split(b"\n")
        for line in lines:
            word, _, said = line.decode(errors="replace").partition(" ")
            if word == "status":
                return self._ended(int(said))
            self._is_ready |= word == "ready"
            if not self._is_ready:
                self.detail += f"{' '.join([word, said])[:200]} "
        return bool(data) or self._ended(-signal.SIGKILL)

    def _ended(self, status: int) -> bool:
        """The end that a status stands for; what was still under way on the results is read first."""
        os.set_blocking(self._results, False)
        with contextlib.suppress(BlockingIOError):
            while (data := os.read(self._results, _CHUNK)) and self._take(data):
                pass
        if not self._is_ready:
            raise UserError(f"the sandbox could not be set up: {self.detail.strip() or 'no reason was given'}")
        if status in _ENDINGS:
            return self._end(*_ENDINGS[Status(status)])
        number = -status if status < 0 else status - 128
        if number in (signal.SIGPROF, signal.SIGALRM, signal.SIGXCPU):
            return self._end(Ending.TIMED_OUT, "loading it took too long")
        name = signal.Signals(number).name if number in list(signal.Signals) else f"status {status}"
        return self._end(Ending.CRASHED, name)

    def _end(self, ending: Ending, detail: str) -> bool:
        self.ending, self.detail = ending, detail
        self.kill()
        return False


_ENDINGS = {
    Status.DONE: (Ending.EXITED, "it ended before the tests did"),
    Status.STOPPED: (Ending.EXITED, "it ended its own process"),
    Status.MEMORY: (Ending.OUT_OF_MEMORY, "all its processes together took too much memory"),
    Status.PROCESSES: (Ending.TOO_MANY_PROCESSES, "too many processes at once"),
    Status.FILES: (Ending.TOO_MUCH_OUTPUT, "too many files"),
}
