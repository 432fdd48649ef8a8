"""Linear layers for products of few rows, as a step of decoding is: on a CPU their time is the reading of the weight.

oneDNN packs a weight as its products read it, once for many of them. PyTorch does so for what it compiles; elsewhere
there is no public way, so this module calls two private operations of its, and `torch.nn.functional.linear` in a build
of PyTorch that lacks them.
"""

from collections.abc import Callable
from functools import cache, partial

import torch
from torch import Tensor
from torch.nn.functional import linear

Projection = Callable[[Tensor], Tensor]
"""From inputs (…, I) to outputs (…, O)."""

_OPERATIONS = ("_reorder_linear_weight", "_linear_pointwise")


def prepacked_linear(weight: Tensor, bias: Tensor | None = None) -> Projection:
    """`linear` by a weight (O, I) in float32 on the CPU, for as long as the weight stays as it is."""
    return _packed(weight, bias) if can_prepack() else partial(linear, weight=weight, bias=bias)


@cache
def can_prepack() -> bool:
    """Whether this build of PyTorch has oneDNN, its use is on, and the operations do what they did."""
    backend = torch.backends.mkldnn
    if not (
        backend.is_available() and backend.enabled and all(hasattr(torch.ops.mkldnn, each) for each in _OPERATIONS)
    ):
        return False
    weight = torch.arange(6.0).view(2, 3)
    try:
        return torch.equal(_packed(weight, None)(torch.eye(3)), weight.T)
    except (RuntimeError, TypeError):  # a later version may want other arguments
        return False


def _packed(weight: Tensor, bias: Tensor | None) -> Projection:
    operations = torch.ops.mkldnn
    packed = operations._reorder_linear_weight(weight.detach())
    return lambda x: operations._linear_pointwise(x, packed, bias, "none", [], "")
