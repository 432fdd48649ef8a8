"""How a sandbox is made on this machine: bubblewrap, or plain namespaces of Linux, whichever passes its own test.

A backend is used only after a program in it has tried to get out and failed (`rlvr_rewards.sandbox.trial`). Where none
passes, nothing is run: there is no fallback that is not safe.
"""

import json
import os
import secrets
import shutil
import sys
from dataclasses import asdict
from enum import StrEnum
from functools import cache
from pathlib import PurePath
from typing import Any

from rlvr_rewards.errors import UserError, unknown_name
from rlvr_rewards.sandbox.interpreter import INSIDE, executable, files, hidden, links
from rlvr_rewards.sandbox.limits import Limits

VARIABLE = "RLVR_SANDBOX"
_DEVICES = ("null", "zero", "random", "urandom")
_FIRST_UID, _NUM_UIDS = 2**30, 2**24
_ENTRY = f"import sys; sys.path.append({INSIDE!r}); from inside.keeper import main; main()"


class Backend(StrEnum):
    """What makes the namespaces and the file system. All else is the same: `inside/confine.py`, `inside/keeper.py`."""

    NAMESPACES = "namespaces"
    """Our own code, `inside/namespaces.py`; forked from a waiting interpreter, so it starts in milliseconds."""
    BUBBLEWRAP = "bubblewrap"
    """The program `bwrap`; a Python starts anew in each sandbox."""


def sandbox_spec(backend: Backend, limits: Limits) -> dict[str, Any]:
    """What the launcher needs to know to start one sandbox; JSON values."""
    is_root = os.geteuid() == 0
    # As root, code becomes a user of its own, whom nothing on this machine belongs to. Without root a user namespace
    # keeps it apart. Either way the kernel counts its processes apart from everybody else's.
    uid = _FIRST_UID + secrets.randbelow(_NUM_UIDS) if is_root else None
    kept = {"limits": asdict(limits), "uid": uid}
    argv = _bubblewrap(kept, is_root, limits) if backend is Backend.BUBBLEWRAP else None
    return {**kept, "argv": argv, "binds": files(), "links": links(), "hidden": hidden()}


def _bubblewrap(kept: dict[str, Any], is_root: bool, limits: Limits) -> list[str]:
    program = shutil.which("bwrap", path=os.environ.get("PATH", os.defpath))
    if program is None:
        raise UserError("bubblewrap is not installed: apt-get install bubblewrap (or dnf, pacman, zypper)")
    as_root = ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"]
    as_user = ["--unshare-user", "--uid", "1000", "--gid", "1000"]
    return [
        program,
        *("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup"),
        *(as_root if is_root else as_user),
        *("--die-with-parent", "--new-session", "--as-pid-1", "--clearenv", "--hostname", "sandbox"),
        *(word for folder in _parents() for word in ("--perms", "0755", "--dir", folder)),
        *(word for source, place in files() for word in ("--ro-bind", source, place)),
        *(word for folder in hidden() for word in ("--perms", "0555", "--size", "4096", "--tmpfs", folder)),
        *(word for name in _DEVICES for word in ("--dev-bind", f"/dev/{name}", f"/dev/{name}")),
        *(word for target, path in links() for word in ("--symlink", target, path)),
        *("--proc", "/proc"),
        *("--perms", "1777", "--size", str(limits.scratch_mb * 2**20), "--tmpfs", "/tmp"),
        *("--remount-ro", "/", "--chdir", "/tmp"),
        *(executable(), "-I", "-S", "-B", "-X", "utf8", "-c", _ENTRY, json.dumps(kept)),
    ]


def _parents() -> list[str]:
    """The folders above what is bound, outermost first; bubblewrap by itself would let root alone enter some."""
    places = [*(place for _, place in files()), "/dev/null"]
    return sorted({str(folder) for place in places for folder in PurePath(place).parents} - {"/"})


@cache
def backend() -> Backend:
    """The backend that sandboxes on this machine use: the first that passes its test.

    The environment variable `RLVR_SANDBOX` names the only one that may be used.

    Raises:
        UserError: None does; the message says why of each, and what to install or allow.
    """
    refused = []
    for candidate in _allowed():
        if said := why_not(candidate):
            refused.append(f"{candidate}: {said}")
        else:
            return candidate
    raise UserError(f"no safe sandbox for code on this machine, so none is run ({'; '.join(refused)}). {_mend()}")


def _allowed() -> list[Backend]:
    wanted = os.environ.get(VARIABLE)
    if wanted and wanted not in list(Backend):
        raise unknown_name(f"sandbox ({VARIABLE})", wanted, Backend)
    return [Backend(wanted)] if wanted else list(Backend)


@cache
def why_not(candidate: Backend) -> str:
    """Why a backend cannot be used here; empty where it can."""
    if sys.platform != "linux":
        return "needs Linux"
    from rlvr_rewards.sandbox.trial import weakness

    try:
        return weakness(candidate)
    except (UserError, OSError) as error:
        return " ".join(str(error).split())


def _mend() -> str:
    if sys.platform != "linux":
        return "Run it on Linux, such as in a virtual machine or WSL 2"
    return (
        "Install bubblewrap (apt-get install bubblewrap) and allow user namespaces "
        "(sysctl user.max_user_namespaces=10000; on Ubuntu also kernel.apparmor_restrict_unprivileged_userns=0; "
        "in a container: --security-opt seccomp=unconfined)"
    )
