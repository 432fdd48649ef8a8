"""Each test of a sandbox runs on each backend that this machine can have; one at least it must have, on Linux."""

import sys

import pytest

from rlvr_rewards.sandbox import Backend, why_not


@pytest.fixture(params=list(Backend))
def backend(request):
    if sys.platform != "linux":
        pytest.skip("sandboxes need Linux")
    if request.param is not Backend.NAMESPACES and (said := why_not(request.param)):
        pytest.skip(said)
    return request.param
