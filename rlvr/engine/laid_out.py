"""Linear layers for products of few rows, as a step of decoding is: on a CPU their time is the reading of the weight.

oneDNN lays a weight out once as its products read it. PyTorch's compiler has it do so for frozen weights; without the
compiler there is no public way, so this module calls the two operations that the compiler calls, and
`torch.nn.functional.linear` in a build of PyTorch that lacks them.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import linear

Projection = Callable[[Tensor], Tensor]
"""From inputs (…, I) to outputs (…, O)."""

_OPERATIONS = ("_reorder_linear_weight", "_linear_pointwise")


def laid_out(weight: Tensor, bias: Tensor | None = None) -> Projection:
    """`linear` by a weight (outputs, inputs) in float32 on the CPU, as it is now: later changes of it are not seen."""
    if not can_lay_out():
        return partial(linear, weight=weight, bias=bias)
    operations = torch.ops.mkldnn
    blocks = operations._reorder_linear_weight(weight.detach())
    return lambda x: operations._linear_pointwise(x, blocks, bias, "none", [], "")


def can_lay_out() -> bool:
    """Whether this build of PyTorch has oneDNN, and the operations."""
    return torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in _OPERATIONS)
