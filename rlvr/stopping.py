"""How a process is asked to stop: SIGINT is Ctrl-C, SIGTERM what schedulers send; both end a run in good order.

Only the standard library is imported, since every command starts here.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM, raised in the main thread: what saves a checkpoint on Ctrl-C saves it now as well."""


def raise_for(number: int) -> None:
    """Raises what a signal stands for: `Terminated`, or `KeyboardInterrupt`."""
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


@contextlib.contextmanager
def sigterm_raises() -> Iterator[None]:
    """SIGTERM raises `Terminated` in here; outside the main thread, where Python forbids handlers, nothing changes."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise_for(number)

    with _handling({signal.SIGTERM: stop}):
        yield


@contextlib.contextmanager
def stop_asks(ask: Callable[[int], None]) -> Iterator[None]:
    """The first SIGINT or SIGTERM in here calls `ask` with its number; a second one stops at once."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def first(number: int, frame: FrameType | None) -> None:
        for each, handler in before.items():
            signal.signal(each, handler)
        ask(number)

    with _handling(dict.fromkeys(before, first)):
        yield


@contextlib.contextmanager
def _handling(handlers: dict[signal.Signals, Callable[[int, FrameType | None], None]]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
