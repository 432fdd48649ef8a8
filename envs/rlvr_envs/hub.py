"""The Hugging Face hub, asked briefly: without a network, what was downloaded before is used at once."""

from collections.abc import Iterator
from contextlib import contextmanager

_TIMEOUT_S = 5


@contextmanager
def offline_unless_reachable() -> Iterator[None]:
    """Where the hub does not answer one quick request, only what was downloaded before is looked for in here.

    The hub's own client would try again for half a minute. It reads these two constants at each request.
    """
    from datasets import config
    from huggingface_hub import constants, get_session

    before = constants.HF_HUB_OFFLINE, config.HF_HUB_OFFLINE
    try:
        if not constants.HF_HUB_OFFLINE:
            get_session().head(constants.ENDPOINT, timeout=_TIMEOUT_S)
    except Exception:  # of its HTTP library, which changes with its version: whatever it was, there was no answer
        constants.HF_HUB_OFFLINE = config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, config.HF_HUB_OFFLINE = before
