"""A small process that starts sandboxes: it forks, where starting Python anew would take ten times as long.

It is started with no environment and holds nothing but the standard library, so a sandbox forked from it inherits
nothing of the program that trains. A request comes over a socket as one JSON text with three descriptors (requests,
results, reports); the answer carries a pidfd of the sandbox's warden, by which it can be killed.

    launcher -> warden -> process 1 of the sandbox (keeper) -> runner -> a process for each test

A warden dies with the launcher. A keeper dies with its warden, by the kernel's parent-death signal and because it sees
the end of a pipe that the warden alone holds (bubblewrap in between may not send that signal). With the keeper dies all
else.
"""

import ctypes
import json
import os
import signal
import socket
from typing import Any, NoReturn

from . import namespaces
from .keeper import LIFELINE, Status, keep

_PR_SET_PDEATHSIG = 1
_MAX_REQUEST = 1 << 20
_LOOK_S = 5.0


def main(parent: int) -> None:
    """Serves requests on descriptor 0 until the other side, the process `parent`, is gone."""
    channel = socket.socket(fileno=0)
    channel.settimeout(_LOOK_S)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # wardens leave no zombies
    while os.getppid() == parent:
        try:
            text, descriptors, _, _ = socket.recv_fds(channel, _MAX_REQUEST, 3)
        except TimeoutError:  # where the other side was forked, its end of the socket may outlive it
            continue
        if not text:
            return
        pid = os.fork()
        if pid == 0:
            try:
                _ward(json.loads(text), descriptors)
            finally:
                os._exit(1)
        warden = os.pidfd_open(pid)
        socket.send_fds(channel, [b"started"], [warden])
        for descriptor in (warden, *descriptors):
            os.close(descriptor)


def _ward(spec: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """Starts process 1 of the sandbox, waits for its end, and reports its status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
    os.closerange(3, 256)
    lifeline, held = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.close(held))  # the keeper sees it and ends, and we see that
    try:
        if spec["argv"] is None:
            namespaces.unshare(spec["uid"] is not None)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.close(held)
            os.dup2(lifeline, LIFELINE)
            os.set_inheritable(LIFELINE, True)
            _start(spec)
        _report(f"status {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")
    except OSError as error:
        _report(f"error {error.strerror or error}")
        _report(f"status {Status.NOT_CONFINED}")
    os._exit(0)


def _start(spec: dict[str, Any]) -> NoReturn:
    try:
        if spec["argv"] is not None:
            os.execve(spec["argv"][0], spec["argv"], {})
        os.setsid()
        namespaces.new_root(spec)
        os._exit(keep(spec["limits"], spec["uid"]))
    except OSError as error:
        _report(f"error {error.strerror or error}")
    os._exit(Status.NOT_CONFINED)


def _report(line: str) -> None:
    os.write(2, f"{line}\n".encode())
