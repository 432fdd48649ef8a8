"""Linear layers with a packed weight: the private operations of PyTorch are held to here."""

import pytest
import torch
from torch.nn.functional import linear

from rlvr.engine import prepacked
from rlvr.engine.prepacked import can_prepack, prepacked_linear


@pytest.fixture(autouse=True)
def asked_anew():
    can_prepack.cache_clear()
    yield
    can_prepack.cache_clear()


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="a build of PyTorch without oneDNN")
def test_this_pytorch_has_the_operations_and_they_are_used():
    assert can_prepack()
    weight = torch.randn(8, 8)
    projection = prepacked_linear(weight)
    before = projection(torch.eye(8))
    weight.zero_()
    assert torch.equal(projection(torch.eye(8)), before) and before.any()  # a copy was read


def test_a_user_who_turned_onednn_off_is_heeded():
    with torch.backends.mkldnn.flags(enabled=False):
        assert not can_prepack()


@pytest.mark.parametrize("rows", [1, 7, 32, 300])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("missing", [False, True])
def test_it_is_the_linear_layer(rows, with_bias, missing, monkeypatch):
    if missing:
        monkeypatch.setattr(prepacked, "_OPERATIONS", ("_of_a_later_version",))
    torch.manual_seed(0)
    weight, bias = torch.randn(40, 48).T, torch.randn(48) if with_bias else None
    projection = prepacked_linear(torch.nn.Parameter(weight), bias)
    inputs = torch.randn(rows, 40)
    torch.testing.assert_close(projection(inputs), linear(inputs, weight, bias), check_stride=False)
