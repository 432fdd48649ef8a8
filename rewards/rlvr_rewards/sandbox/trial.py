"""Whether a backend keeps what it promises on this machine: a program in it tries to get out, once in each process.

A sandbox whose guards are silently missing (a kernel without seccomp, a container in which limits do not bind) is worse
than none. The escape attempts in the tests are many more; these are those whose answer depends on the machine.
"""

from rlvr_rewards.sandbox.backends import Backend
from rlvr_rewards.sandbox.limits import Limits

_PROBE = """
import os, socket

def tried():
    return {
        "the network can be reached": attempt(lambda: socket.socket()),
        "files of this machine can be seen": os.path.exists("/etc/passwd") or os.path.exists("/home"),
        "the file system can be written to": any(attempt(lambda: open(f, "w")) for f in ("/x", "/usr/lib/x")),
        "processes of this machine can be seen": sum(name.isdigit() for name in os.listdir("/proc")) > 4,
        "the environment can be read": bool(os.environ),
        "the number of processes is not limited": forks() > 16,
        "memory is not limited": attempt(lambda: bytearray(2**30)),
        "privileges remain": os.geteuid() == 0 or privileges(),
    }

def attempt(action):
    try:
        action()
    except (OSError, MemoryError):
        return False
    return True

def forks():
    import signal
    children = []
    try:
        for _ in range(20):
            pid = os.fork()
            if not pid:
                signal.pause()
            children.append(pid)
    except OSError:
        pass
    for pid in children:
        os.kill(pid, 9)
    return len(children)

def privileges():
    with open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return int(lines["CapEff"], 16) != 0 or lines["NoNewPrivs"].strip() != "1" or lines["Seccomp"].strip() != "2"
"""


def weakness(backend: Backend) -> str:
    """What a backend does not keep, in words; empty where it keeps all of it.

    Raises:
        UserError: It cannot be started at all.
    """
    from rlvr_rewards.sandbox.running import call_function

    result = call_function(_PROBE, "tried", [[]], Limits(test_s=5.0, memory_mb=256), backend=backend).results[0]
    if not isinstance(result.value, dict):
        return f"its own test did not run: {result.ending}: {result.detail}"
    return ", ".join(name for name, found in result.value.items() if found)
