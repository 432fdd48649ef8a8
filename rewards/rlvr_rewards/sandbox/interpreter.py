"""Which files of this machine a sandbox sees: the Python interpreter's own, its libraries, and nothing else."""

import sys
import sysconfig
from functools import cache
from pathlib import Path

INSIDE = "/sandbox"
"""Where a sandbox has the folder `inside`."""
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
_LOADER_CACHE = "/etc/ld.so.cache"
_PACKAGES = ("site-packages", "dist-packages")
Pairs = tuple[tuple[str, str], ...]


def executable() -> str:
    """The interpreter itself, not the virtual environment's link to it."""
    return str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())


@cache
def files() -> Pairs:
    """Existing paths without symbolic links, and where each appears, read-only."""
    libraries = [Path(path) for path in _LIBRARIES if not Path(path).is_symlink()]
    wanted = [*libraries, _stdlib(), Path(executable()), _libpython().resolve(), Path(_LOADER_CACHE)]
    found = sorted({path for path in wanted if path.exists()})
    kept = [path for path in found if not any(path.is_relative_to(other) for other in found if other != path)]
    ours = Path(__file__).resolve().parent / "inside"
    return (*((str(path), str(path)) for path in kept), (str(ours), f"{INSIDE}/inside"))


@cache
def hidden() -> tuple[str, ...]:
    """Folders among those files that are empty inside: what is installed beside the standard library."""
    folders = [*(_stdlib() / name for name in _PACKAGES), Path("/usr/lib/python3"), Path("/usr/lib/ssl")]
    return tuple(str(folder) for folder in folders if folder.is_dir() and not folder.is_symlink())


@cache
def links() -> Pairs:
    """Symbolic links, as target and path: those that the files are reached by, and two that Python looks for."""
    merged = [(str(Path(path).readlink()), path) for path in _LIBRARIES if Path(path).is_symlink()]
    shared = _libpython()
    own = [(str(shared.resolve()), str(shared))] if shared.is_symlink() else []
    own = [link for link in own if not any(Path(link[1]).is_relative_to(place) for _, place in files())]
    return (*merged, *own, ("/tmp", "/dev/shm"), ("/proc/self/fd", "/dev/fd"))


def _stdlib() -> Path:
    return Path(sysconfig.get_path("stdlib")).resolve()


def _libpython() -> Path:
    """The interpreter as a shared library, where it is one; otherwise a path that does not exist."""
    name = sysconfig.get_config_var("INSTSONAME") or ""
    return Path(sysconfig.get_config_var("LIBDIR") or "/") / (name if ".so" in name else "no such library")
