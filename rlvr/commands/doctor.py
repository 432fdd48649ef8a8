"""Say what this machine is, what is installed, what it can run, and what to install for the rest.

Works without torch, and never fails: what cannot be found out is reported as unknown.
"""

import argparse
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlvr.installed import Package


def configure(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> int:
    from rlvr.console import console, table
    from rlvr.installed import groups

    out = console()
    gpus = _guarded(_gpus)
    machine = [(name, _guarded(probe)) for name, probe in _PROBES.items()]
    out.print(table("this machine", ("", "found"), [*machine, ("GPU", gpus)]))
    found = groups()
    rows = [(name, p.name, p.wanted, p.installed, p.status) for name, members in found.items() for p in members]
    out.print(table("packages", ("for", "package", "supported", "installed", ""), rows))
    out.print(table("it can run", ("what", "now"), list(_abilities(found, gpus))))
    return 0


def _abilities(found: "dict[str, list[Package]]", gpus: str) -> Iterator[tuple[str, str]]:
    """Each thing the kit does, and `yes` or the command that installs what it lacks.

    The packages are named one by one, so that the advice holds whether we were installed from a checkout or a wheel.
    """
    from rlvr.installed import install_vllm

    has_gpu = not gpus.startswith(("none", "unknown"))
    for what, group in ((w, g) for w, g in _NEEDS.items() if g in found):
        lacking = [f"'{p.name}{p.wanted}'" for p in found.get(group, []) if p.status != "ok"]
        if lacking and group == "vllm":
            yield what, install_vllm(has_gpu)
        elif lacking:
            yield what, f"pip install {' '.join(lacking)}"
        else:
            yield what, "yes" if group != "train" or has_gpu else "yes, for small models: no GPU was found"
    yield "rewards that run code", _guarded(_sandbox)


def _guarded(probe: Callable[[], str]) -> str:
    try:
        return probe()
    except Exception as error:  # a broken installation is what this command is for
        return f"unknown ({type(error).__name__}: {' '.join(str(error).split())[:200]})"


def _python() -> str:
    import platform
    from importlib.metadata import metadata

    return f"{platform.python_version()} (supported: {metadata('rlvr')['Requires-Python']})"


def _system() -> str:
    import platform

    return platform.platform()


def _cpus() -> str:
    import os

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{usable} cores"


def _memory() -> str:
    import os

    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f} GiB"


def _gpus() -> str:
    from importlib.util import find_spec

    if find_spec("torch") is None:
        return "unknown (torch is not installed)"
    import torch

    if torch.cuda.is_available():
        devices = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
        return ", ".join(f"{device.name} ({device.total_memory / 2**30:.0f} GiB)" for device in devices)
    return "Apple GPU (MPS)" if torch.backends.mps.is_available() else f"none that torch {torch.__version__} can use"


def _sandbox() -> str:
    """Which sandboxes passed their own test here; otherwise how to mend it."""
    from rlvr_rewards import UserError
    from rlvr_rewards.sandbox import Backend, backend, why_not

    try:
        used = backend()
    except UserError as error:
        return f"no: {error}"
    others = [f"{other}: {why_not(other) or 'safe too'}" for other in Backend if other is not used]
    return f"yes, in a sandbox made by {used} ({'; '.join(others)})"


_NEEDS = {
    "rewards, environments, rlvr score": "core",
    "training and evaluation": "train",
    "adapters on a base in 4 bits": "qlora",
    "tasks from the hub": "hub",
    "rewards by pattern, JSON Schema and likeness": "answers",
    "rewards by overlap (ROUGE, BLEU)": "overlap",
    "answers as mathematics (math-verify)": "math",
    "the trace browser": "tui",
    "sampling with vLLM": "vllm",
    "GGUF export": "gguf",
    "the tests and checks": "dev",
}
_PROBES: dict[str, Callable[[], str]] = {
    "Python": _python,
    "system": _system,
    "CPU": _cpus,
    "memory": _memory,
}
