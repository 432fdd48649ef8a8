"""What holds for every test."""

import gc

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a slow minute of the machine is no fault of the code
settings.load_profile("untimed")


@pytest.fixture(scope="module", autouse=True)
def _imported_once():
    """What earlier modules imported is not searched for garbage by every run again: that took half the time."""
    gc.collect()
    gc.freeze()
