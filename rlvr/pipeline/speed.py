"""How fast this machine is right now, so that a run's time can be read: shared machines vary by a factor of four."""

import time

SIZE = 1024
_TRIES = 20


def matmul_gflops() -> float:
    """The median speed of a float32 product of two 1024 x 1024 matrices on the CPU, in GFLOP/s (2 * 1024³ each)."""
    import torch

    a, b = torch.ones(SIZE, SIZE), torch.ones(SIZE, SIZE)
    seconds = []
    for _ in range(_TRIES):
        started = time.perf_counter()
        torch.mm(a, b)
        seconds.append(time.perf_counter() - started)
    return 2 * SIZE**3 / sorted(seconds)[_TRIES // 2] / 1e9
