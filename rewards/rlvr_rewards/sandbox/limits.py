"""What a sandboxed program may use. Past any of it, the test or the whole program is ended and earns nothing."""

from dataclasses import dataclass

from rlvr_rewards.errors import UserError


@dataclass(frozen=True)
class Limits:
    """Bounds on one completion's code, over all of its tests.

    Attributes:
        test_s: Processor seconds of one test; on the clock it may take five times as long, since machines are busy.
        wall_s: Seconds on the clock for all of it, after which everything is killed from outside.
        cpu_s: Processor seconds of any one process, whole.
        memory_mb: Memory (MiB) of each process (address space) and of all together (resident, looked at every 20 ms).
        processes: Processes and threads at once, the one that runs a test included.
        output_kb: The most (KiB) that a program may print, that its input may hold, and that any one file may.
        scratch_mb: What the scratch folder `/tmp` holds (MiB), in memory.
    """

    test_s: float = 2.0
    wall_s: float = 30.0
    cpu_s: int = 30
    memory_mb: int = 512
    processes: int = 8
    output_kb: int = 1024
    scratch_mb: int = 16

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise UserError(f"sandbox limits: {name}={value!r}: give a number above 0")
        if self.memory_mb < 64:
            raise UserError(f"sandbox limits: memory_mb={self.memory_mb}: Python itself needs 64")
