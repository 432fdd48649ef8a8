"""How a process is asked to stop: SIGINT is Ctrl-C, SIGTERM what schedulers send; both end a run in good order.

SIGUSR1 asks for a checkpoint alone, as schedulers can before their time limit.

Only the standard library is imported, since every command starts here.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import FrameType

SAVE_SIGNAL = signal.SIGUSR1


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
def stop_asks(ask: Callable[[int], None], echo_s: float = 0.0) -> Iterator[None]:
    """The first SIGINT or SIGTERM in here calls `ask` with its number; a second one stops at once.

    SIGUSR1 calls it too, each time, and never stops.

    Args:
        ask: Called in the main thread.
        echo_s: What comes within so many seconds of the first is one with it; a launcher passes on what its processes
            got themselves.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    asked_at = 0.0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked_at
        if not asked_at:
            asked_at = time.monotonic()
            ask(number)
        elif time.monotonic() - asked_at > echo_s:
            for each, handler in before.items():
                signal.signal(each, handler)
            signal.raise_signal(number)

    def save(number: int, frame: FrameType | None) -> None:
        ask(number)

    with _handling({**dict.fromkeys(before, handle), SAVE_SIGNAL: save}):
        yield


@contextlib.contextmanager
def save_signal_waits() -> Iterator[None]:
    """SIGUSR1 does nothing in here, where by default it would end the process: there is nothing to save.

    Processes that are started in here, such as vLLM's, pass it over as well.
    """
    with _handling({SAVE_SIGNAL: signal.SIG_IGN}):
        yield


@contextlib.contextmanager
def _handling(
    handlers: Mapping[signal.Signals, Callable[[int, FrameType | None], None] | signal.Handlers],
) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
