"""A model whose weights are dealt out to processes (torch's `fully_shard`, FSDP2), held whole for a while.

Sampling makes as many passes as the longest completion has tokens, on each process another number; every pass of a
sharded model gathers weights from all of them, and so would wait for ever for a process that is done. Whole, it waits
for nobody: all weights are gathered once, at the price of all of them on each device for that while.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.distributed.fsdp import FSDPModule


def is_sharded(model: nn.Module) -> bool:
    """Whether any of its weights are dealt out."""
    return any(isinstance(module, FSDPModule) for module in model.modules())


@contextmanager
def held_whole(model: nn.Module) -> Iterator[None]:
    """All weights on each process in here, under their own names, to read and not to change; a plain model stays so.

    All processes enter and leave it. Afterwards weights are dealt out again after each forward pass, as by default.
    """
    shards = [module for module in model.modules() if isinstance(module, FSDPModule)]
    for module in shards:
        module.set_reshard_after_forward(False, recurse=False)
        module.unshard()
    try:
        yield
    finally:
        for module in shards:
            module.set_reshard_after_forward(True, recurse=False)
            module.reshard()
