"""What an environment's own code raised, as one line that names it and where: its user may not be its writer."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import FrameSummary, extract_tb

from rlvr_envs.environment import Environment
from rlvr_rewards.errors import UserError, one_line


@contextmanager
def faults_named(environment: Environment) -> Iterator[None]:
    """Turns what the environment's code raises inside the block into a `UserError`; all else passes as it is.

    Raises:
        UserError: Such as `environment mine: draw (mine.py line 12): ValueError: …`.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        frame = _frame_of(environment, error)
        if frame is None:
            raise
        where = f"{frame.name} ({Path(frame.filename).name} line {frame.lineno})"
        raise UserError(f"environment {environment.name}: {where}: {one_line(error)}") from error


def _frame_of(environment: Environment, error: Exception) -> FrameSummary | None:
    """The innermost call in a file of the environment's own, that is, not in the base classes'."""
    base = inspect.getfile(Environment)
    classes = [cls for cls in type(environment).__mro__ if issubclass(cls, Environment)]
    files = {inspect.getfile(cls) for cls in classes} - {base}
    return next((frame for frame in reversed(extract_tb(error.__traceback__)) if frame.filename in files), None)
