"""The browser with a clock in it: what `benchmarks/tui.py` starts in a pty."""

import json
import os
import resource
import sys
import time
from pathlib import Path

from textual import events

from rlvr.traces.index import TraceIndex
from rlvr.tui.app import TracesApp


class Timed(TracesApp):
    """Notes, for each key, how long it took from its event to when the next repaint had been written."""

    pressed: tuple[str, float, float] | None = None

    def __init__(self, index: TraceIndex) -> None:
        super().__init__(index, Path("runs"))
        self.times: list[tuple[str, float, float]] = []

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key):
            self.pressed = event.key, event.time, time.process_time()
        await super().on_event(event)

    def post_display_hook(self) -> None:
        """Called by Textual when a repaint was written."""
        if self.pressed is not None:
            key, at_s, cpu_s = self.pressed
            self.times.append((key, (time.monotonic() - at_s) * 1000, (time.process_time() - cpu_s) * 1000))
            self.pressed = None


if __name__ == "__main__":
    app = Timed(TraceIndex.open(sys.argv[1]))
    app.run()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with os.fdopen(int(sys.argv[2]), "w") as report:
        json.dump({"times": app.times, "peak_mb": peak}, report)
