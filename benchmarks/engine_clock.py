"""Where the time of a step goes, and what other machines took of this one meanwhile.

Used by engine.py and gpu.py.
"""

import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from threading import get_ident
from typing import Any

REST = "rest"


class Clock:
    """Gives every moment of a step to one part: of parts that are inside each other, the innermost.

    What other threads do meanwhile is added up apart, in `beside`.

    Args:
        settle: Waits for the device, before a part begins and ends; on a CPU there is nothing to wait for.
    """

    def __init__(self, settle: Callable[[], None] = lambda: None) -> None:
        self.settle = settle
        self.beside: dict[str, float] = defaultdict(float)
        self._seconds: dict[str, float] = defaultdict(float)
        self._parts, self._since, self._thread = [REST], time.perf_counter(), get_ident()

    def start(self) -> None:
        """Begins a step."""
        self.settle()
        self._seconds.clear()
        self.beside.clear()
        self._parts, self._since, self._thread = [REST], time.perf_counter(), get_ident()

    def stop(self) -> dict[str, float]:
        """Seconds of each part since the start."""
        self._switch()
        return dict(self._seconds)

    def timed(self, part: str, function: Callable[..., Any], when: Callable[[], bool] = lambda: True) -> Any:
        """A function whose time counts as that of a part, where `when` holds."""

        @wraps(function)
        def in_part(*args: Any, **kwargs: Any) -> Any:
            if not when():
                return function(*args, **kwargs)
            if get_ident() != self._thread:
                return self._beside(part, function, *args, **kwargs)
            self._switch()
            self._parts.append(part)
            try:
                return function(*args, **kwargs)
            finally:
                self._switch()
                self._parts.pop()

        return in_part

    def _beside(self, part: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            self.beside[part] += time.perf_counter() - started

    def _switch(self) -> None:
        """What passed since the last switch was the innermost part's."""
        self.settle()
        now = time.perf_counter()
        self._seconds[self._parts[-1]] += now - self._since
        self._since = now


class Steal:
    """The share of this machine's time that other machines took, since it was made."""

    def __init__(self) -> None:
        self._before = _ticks()

    def share(self) -> float:
        passed = [now - then for now, then in zip(_ticks(), self._before, strict=True)]
        return passed[7] / max(1, sum(passed))


def _ticks() -> list[int]:
    """Time by use since this machine started; the eighth number is what others took."""
    return [int(number) for number in Path("/proc/stat").read_text(encoding="ascii").split("\n")[0].split()[1:9]]
