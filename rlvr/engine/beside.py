"""Work beside the main thread, which a process that ends does not wait for (an executor's threads it would)."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread


def in_thread(work: Callable[[], None]) -> Future[None]:
    """Begins it; `result()` waits for it, and raises what it raised."""
    done: Future[None] = Future()

    def run() -> None:
        try:
            work()
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    Thread(target=run, daemon=True).start()
    return done
