"""What a process gives up before a stranger's code runs in it: identity, capabilities, resources, system calls.

Both backends end here, as process 1 of the new namespaces, so what is refused inside does not depend on the backend.
"""

import ctypes
import os
import resource
import signal
import struct
from typing import Any

from . import seccomp

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
_CAPABILITIES_V3 = 0x20080522
OURS = 2
"""Processes of a sandbox that are not the code's: the keeper and the runner."""


def confine(limits: dict[str, Any], uid: int | None) -> None:
    """Gives up everything for good.

    Args:
        limits: The fields of `rlvr_rewards.sandbox.Limits`, by name.
        uid: The user and group to become; `None` to stay who we are, which is nobody outside our user namespace.

    Raises:
        OSError, ValueError: Something could not be given up: nothing may run then.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):  # what Python catches or ignores
        signal.signal(number, signal.SIG_DFL)
    os.umask(0o077)
    os.environ.clear()
    _limit(limits)
    _drop_bounding_set(libc)
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    _drop_capabilities(libc)
    for option, value in ((_PR_SET_NO_NEW_PRIVS, 1), (_PR_SET_DUMPABLE, 0), (_PR_SET_PDEATHSIG, signal.SIGKILL)):
        if libc.prctl(option, value, 0, 0, 0):
            raise OSError(ctypes.get_errno(), f"prctl({option})")
    seccomp.install()


def _limit(limits: dict[str, Any]) -> None:
    """Limits of each process; those of all of them together are watched by `inside.keeper`."""
    for which, most in {
        resource.RLIMIT_AS: limits["memory_mb"] * 2**20,
        resource.RLIMIT_FSIZE: limits["output_kb"] * 2**10,
        resource.RLIMIT_NPROC: limits["processes"] + OURS,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_SIGPENDING: 256,
        resource.RLIMIT_STACK: 8 * 2**20,
    }.items():
        _, hard = resource.getrlimit(which)
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (bound, bound))


def _drop_bounding_set(libc: ctypes.CDLL) -> None:
    capability = 0
    while libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:
        capability += 1


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    header, none = struct.pack("=Ii", _CAPABILITIES_V3, 0), bytes(24)
    if libc.capset(header, none):
        raise OSError(ctypes.get_errno(), "capset")
