"""A step's traces, written in a thread while the step's update is computed, and there before the step ends.

So a checkpoint is never ahead of them, and what fails to be written (a full disk) fails in its own step.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from transformers import TrainerCallback

from rlvr.engine.beside import in_thread
from rlvr.traces.schema import TraceRow
from rlvr.traces.store import TraceWriter


class TracesBeside(TrainerCallback):
    """Of a trainer that has it as a callback.

    Args:
        traces: What writes them.
    """

    def __init__(self, traces: TraceWriter) -> None:
        self._traces = traces
        self._writing: Future[None] | None = None

    def write(self, step: int, rows: Sequence[TraceRow]) -> None:
        """Begins to write all rows of a step."""
        self.wait()
        self._writing = in_thread(lambda: self._traces.write(step, rows))

    def wait(self) -> None:
        """Waits for what was begun.

        Raises:
            UserError: It could not be written.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.wait()
