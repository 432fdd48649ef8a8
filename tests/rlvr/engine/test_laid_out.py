"""Linear layers with their weight laid out for oneDNN: its private operations of PyTorch are held to here."""

import pytest
import torch
from torch.nn.functional import linear

from rlvr.engine import laid_out as module
from rlvr.engine.laid_out import can_lay_out, laid_out


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="a build of PyTorch without oneDNN")
def test_this_pytorch_has_the_operations():
    assert can_lay_out()


@pytest.mark.parametrize("rows", [1, 7, 32, 300])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("missing", [False, True])
def test_it_is_the_linear_layer(rows, with_bias, missing, monkeypatch):
    if missing:
        monkeypatch.setattr(module, "_OPERATIONS", ("_of_a_later_version",))
    torch.manual_seed(0)
    weight, bias = torch.randn(48, 40), torch.randn(48) if with_bias else None
    projection = laid_out(weight, bias)
    inputs = torch.randn(rows, 40)
    torch.testing.assert_close(projection(inputs), linear(inputs, weight, bias))


def test_a_weight_of_a_model_in_training_is_taken_as_it_is():
    weight = torch.nn.Parameter(torch.randn(8, 8).T)
    with torch.no_grad():
        torch.testing.assert_close(laid_out(weight)(torch.eye(8)), weight.T.detach())
