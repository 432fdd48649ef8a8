"""K-quants by llama.cpp's own program, where one is on the PATH: it makes them of a file with all the bits."""

import shutil
import subprocess
from pathlib import Path

from rlvr.failure import WorkError
from rlvr.gguf.file_types import FileType

_PROGRAM = "llama-quantize"


def has_program() -> bool:
    """Whether `llama-quantize` is on the PATH."""
    return shutil.which(_PROGRAM) is not None


def quantize_file(source: Path, target: Path, file_type: FileType) -> None:
    """Writes a file of another type.

    Args:
        source: A file of type F32, F16 or BF16.
        target: Where to.
        file_type: A K-quant.

    Raises:
        WorkError: The program fails; the line ends with what it said last.
    """
    done = subprocess.run(
        [_PROGRAM, str(source), str(target), file_type], capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()[-1:] or ["nothing"]
        raise WorkError(f"{_PROGRAM} fails on {file_type} (code {done.returncode}): {said[0][:200]}")
