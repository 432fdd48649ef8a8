"""How much memory a stage took at most: of the GPU where there is one, else of this process.

Processes of its own (vLLM's engine) are not counted. Where the system cannot forget its earlier peak (not Linux), that
of the process so far is given.
"""

import contextlib
import re
import resource
import sys
from pathlib import Path

_FORGET_PEAK = "5"
"""Written to Linux's `clear_refs`: forget the highest resident size so far (proc(5))."""


def forget_peak() -> None:
    """Starts measuring anew."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text(_FORGET_PEAK)


def peak_memory() -> dict[str, int]:
    """Bytes at most since then: of `gpu` what tensors took, of `cpu` the resident size."""
    import torch

    found = {"cpu": _resident()}
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.max_memory_allocated()
    return found


def _resident() -> int:
    with contextlib.suppress(OSError):
        if match := re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text()):
            return int(match[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
