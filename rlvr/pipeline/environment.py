"""The process before torch loads: quiet libraries, no downloads that nobody asked for, repeatable arithmetic."""

import logging
import os
import warnings

_SETTINGS = {
    "OMP_DYNAMIC": "FALSE",
    "OMP_WAIT_POLICY": "PASSIVE",  # waiting threads sleep: 2-3 times faster where cores are shared …
    "GOMP_SPINCOUNT": "1500",  # … after some 10 us, within which most of a small step's operations follow each other
    "MKL_DYNAMIC": "FALSE",
    "MKL_CBWR": "AUTO",  # the same sums from run to run, wherever memory happens to lie
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRL_EXPERIMENTAL_SILENCE": "1",
}


def prepare_process(offline: bool = False) -> None:
    """Sets what must be set before torch and transformers are imported; what the user set stays.

    Args:
        offline: Whether models and data may come from what was downloaded before only.
    """
    for name, value in (_SETTINGS | ({"HF_HUB_OFFLINE": "1"} if offline else {})).items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", category=FutureWarning)


def quiet_libraries() -> None:
    """Keeps the libraries' own progress bars and notices off the screen; their errors still show."""
    import datasets
    import transformers

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it misses an optional kernel whenever it is imported
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
