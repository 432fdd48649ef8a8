"""A disk that is full or cannot be written: recognized, whichever library met it first."""

import errno

_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
_PHRASES = (
    "no space left",
    "file too large",
    "disk quota",
    "pytorchstreamwriter failed",
    "unexpected pos",
    "os error 28",
)
"""How safetensors, torch and Arrow say it: their exceptions carry no error number."""


def disk_problem(error: BaseException) -> str | None:
    """What the disk refused, as a few words; `None` for any other error."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _ERRNOS:
            return seen.strerror
        if any(phrase in str(seen).lower() for phrase in _PHRASES):
            return " ".join(str(seen).split())[:120]
        seen = seen.__cause__ or seen.__context__
    return None
