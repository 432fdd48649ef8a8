"""A log for each stage: what libraries say, warnings, and the traceback of an error, in `logs/<stage>.log`.

The screen stays for progress and results; of what libraries say it shows errors alone. A stage that goes on adds to its
log. Not here: training metrics (`metrics`).
"""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from rlvr.config.schema import StageConfig

_APART = ("transformers", "datasets")
"""Libraries whose loggers pass nothing on to the root's."""
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def log_path(folder: Path, stage: StageConfig, rank: int = 0) -> Path:
    """Of a stage; processes beside the first one each have their own."""
    return folder / "logs" / f"{stage.name}{f'.rank{rank}' if rank else ''}.log"


@contextlib.contextmanager
def stage_log(path: Path) -> Iterator[logging.Logger]:
    """Sends what libraries log, and Python's warnings, into a file; the logger is for lines of our own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ours = logging.getLogger("rlvr.stage")
    ours.propagate = False
    file, screen = _File(path, encoding="utf-8"), logging.StreamHandler()
    file.setFormatter(logging.Formatter(_FORMAT))
    screen.setLevel(logging.ERROR)
    with contextlib.ExitStack() as undone:
        undone.callback(file.close)
        undone.enter_context(_handled_by(logging.getLogger(), file, screen))
        for logger in (ours, *map(logging.getLogger, _APART)):
            undone.enter_context(_handled_by(logger, file))
            undone.enter_context(_talkative(logger, file))
        logging.captureWarnings(True)
        undone.callback(logging.captureWarnings, False)
        yield ours


class _File(logging.FileHandler):
    """A log that a full disk cuts short, and nothing more."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        return

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


@contextlib.contextmanager
def _handled_by(logger: logging.Logger, *handlers: logging.Handler) -> Iterator[None]:
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)


@contextlib.contextmanager
def _talkative(logger: logging.Logger, file: logging.Handler) -> Iterator[None]:
    """Lets a logger tell the file what it does, and everyone else what they heard before."""
    level, others = logger.level, [(each, each.level) for each in logger.handlers if each is not file]
    for handler, its_level in others:
        handler.setLevel(max(its_level, logger.getEffectiveLevel()))
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        for handler, its_level in others:
            handler.setLevel(its_level)
