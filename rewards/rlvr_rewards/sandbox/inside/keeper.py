"""Process 1 of a sandbox: starts the process that runs the stranger's code, watches it, and ends with it.

When process 1 of a pid namespace ends, the kernel kills every other process in it: nothing outlives the code. It says
how that ended by its exit status, which the code cannot reach: signals from within do not kill process 1, and it can
neither be traced nor read.
"""

import contextlib
import os
import select
import signal
import sys
from enum import IntEnum
from typing import Any

from . import runner
from .confine import OURS, confine

LIFELINE = 3
"""A descriptor that hangs up when the warden is gone."""
_TICK_MS = 20
_MAX_FILES = 8192
_OWN_MB = 48
"""What this process and the runner may take, so that one test alone meets its own limit first."""
_KB = {b"RssAnon:", b"RssShmem:"}


class Status(IntEnum):
    """How a sandbox ended; above 128 a signal, as in a shell."""

    DONE = 0
    STOPPED = 100
    MEMORY = 101
    PROCESSES = 102
    FILES = 103
    ABANDONED = 104
    NOT_CONFINED = 110


def keep(limits: dict[str, Any], uid: int | None) -> int:
    """Confines itself, starts the runner, and returns how it ended; as descriptor 2 it says `ready` or what failed.

    Descriptor 0 brings requests, 1 takes results; both are the runner's.
    """
    try:
        confine(limits, uid)
        child = os.fork()
    except (OSError, ValueError) as error:
        os.write(2, f"error {error}\n".encode())
        return Status.NOT_CONFINED
    if child == 0:
        os.close(LIFELINE)
        runner.main(limits)
    os.write(2, b"ready\n")
    return _watch(child, limits)


def _watch(child: int, limits: dict[str, Any]) -> int:
    child_end = os.pidfd_open(child)
    ended = select.poll()
    ended.register(child_end, select.POLLIN)
    ended.register(LIFELINE, 0)
    while not (seen := dict(ended.poll(_TICK_MS))):
        if excess := _excess(limits):
            return excess
        _reap(child)
    if child_end not in seen:
        return Status.ABANDONED
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return 128 + os.WTERMSIG(status)
    return Status.STOPPED if os.WEXITSTATUS(status) else Status.DONE


def _reap(child: int) -> None:
    """Buries orphans; the dead count against the limit on processes."""
    with contextlib.suppress(ChildProcessError):
        while True:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None or found.si_pid == child:
                return
            os.waitpid(found.si_pid, 0)


def _excess(limits: dict[str, Any]) -> int:
    """What all processes together have too much of, or 0; a page that two share is counted twice."""
    pids = [name for name in os.listdir("/proc") if name.isdigit()]
    if len(pids) > limits["processes"] + OURS:
        return Status.PROCESSES
    if sum(map(_memory_kb, pids)) > (limits["memory_mb"] + _OWN_MB) * 2**10:
        return Status.MEMORY
    scratch = os.statvfs("/tmp")
    return Status.FILES if scratch.f_files - scratch.f_ffree > _MAX_FILES else 0


def _memory_kb(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/status", "rb") as status:
            return sum(int(line.split()[1]) for line in status if line[: line.find(b":") + 1] in _KB)
    except OSError:  # it has just ended
        return 0


def main() -> None:
    """Started by bubblewrap: the limits and the user are the arguments."""
    import json

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    given = json.loads(sys.argv[1])
    os._exit(keep(given["limits"], given["uid"]))
