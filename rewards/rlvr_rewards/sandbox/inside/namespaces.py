"""A root of its own for a process: new namespaces, and a file system of a few read-only folders and one scratch folder.

What bubblewrap does, for where it is not installed, in the steps that its documentation gives: unshare, a tmpfs as the
new root, read-only binds into it, pivot_root, the old root detached.
"""

import ctypes
import os
import struct
from typing import Any

_NEW = 0x20000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x20000000 | 0x40000000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWPID, NEWNET."""
_NEW_USER = 0x10000000
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
_DETACH = 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_MOUNT_SETATTR, _AT_RECURSIVE, _AT_FDCWD = 442, 0x8000, -100
_DEVICES = ("null", "zero", "random", "urandom")
_OLD = "/old"
_INSIDE_ID = 1000
_MAX_FILES = 4096

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(is_root: bool) -> None:
    """New namespaces of every kind; the pid namespace begins with the next child.

    Without root a user namespace comes with them, in which we are user 1000 and nobody else exists.

    Raises:
        OSError: The kernel, or whoever runs this container, does not allow it.
    """
    uid, gid = os.geteuid(), os.getegid()
    _check(_libc.unshare(_NEW | (0 if is_root else _NEW_USER)), "unshare")
    if not is_root:
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{_INSIDE_ID} {uid} 1"),
            ("gid_map", f"{_INSIDE_ID} {gid} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as written:
                written.write(text)


def new_root(spec: dict[str, Any]) -> None:
    """Builds the new root and moves into it; for the first process of the new pid namespace.

    Args:
        spec: `binds`, existing paths without symbolic links, that appear read-only at the place given beside them;
            `hidden`, folders among them that shall be empty; `links`, pairs of a target and a path; `limits`.

    Raises:
        OSError: A step failed; the message says which.
    """
    _mount("none", "/", None, _REC | _PRIVATE)
    _mount("root", "/tmp", "tmpfs", _NOSUID | _NODEV, "size=1m,nr_inodes=2048,mode=0755")
    os.mkdir("/tmp/old", 0o700)
    number = _PIVOT_ROOT[os.uname().machine]
    _check(_libc.syscall(number, b"/tmp", b"/tmp/old"), "pivot_root")
    os.chdir("/")
    for source, place in spec["binds"]:
        _bind(source, place, _RDONLY | _NOSUID | _NODEV)
    for device in _DEVICES:
        _bind(f"/dev/{device}", f"/dev/{device}", _RDONLY | _NOSUID | _NOEXEC)
    for folder in spec["hidden"]:
        _mount("nothing", folder, "tmpfs", _RDONLY | _NOSUID | _NODEV, "size=4k,nr_inodes=1,mode=0555")
    for target, path in spec["links"]:
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        os.symlink(target, path)
    for folder in ("/proc", "/tmp"):
        os.makedirs(folder, 0o755, exist_ok=True)
    _mount("proc", "/proc", "proc", _NOSUID | _NODEV | _NOEXEC, "subset=pid")
    scratch = f"size={spec['limits']['scratch_mb']}m,nr_inodes={_MAX_FILES},mode=1777"
    _mount("scratch", "/tmp", "tmpfs", _NOSUID | _NODEV | _NOEXEC, scratch)
    _check(_libc.umount2(_OLD.encode(), _DETACH), "umount of the old root")
    os.rmdir(_OLD)
    _mount("none", "/", None, _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV)
    _libc.sethostname(b"sandbox", 7)
    os.chdir("/tmp")


def _bind(source: str, place: str, flags: int) -> None:
    old = _OLD + source
    if os.path.isdir(old):
        os.makedirs(place, 0o755, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(place), 0o755, exist_ok=True)
        os.close(os.open(place, os.O_CREAT | os.O_WRONLY, 0o444))
    _mount(old, place, None, _BIND | _REC)
    attributes = struct.pack("=QQQQ", flags, 0, 0, 0)
    arguments = (_AT_FDCWD, place.encode(), _AT_RECURSIVE, attributes, len(attributes))
    _check(_libc.syscall(_MOUNT_SETATTR, *arguments), f"{place} cannot be made read-only")


def _mount(source: str, place: str, kind: str | None, flags: int, options: str = "") -> None:
    done = _libc.mount(
        source.encode(), place.encode(), kind.encode() if kind else None, ctypes.c_ulong(flags), options.encode()
    )
    _check(done, f"mount of {place}")


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
