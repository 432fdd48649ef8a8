"""Several processes of one run, as `torchrun` and `accelerate launch` start them: who does what, and how they wait.

The first process (rank 0) owns the run's folder, the screen and every stage that does not train; the others wait for
it, take part where a stage trains, and say nothing but what went wrong with them. Waiting goes over gloo, so that no
GPU spins meanwhile, and has no end of its own: an evaluation may take hours, and a process that dies closes its
connections.
Not here: gradients and the rows of a step, which are accelerate's and TRL's to deal out.

Nothing heavy is imported before several processes are connected; alone, every function here does its work at once.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from importlib.metadata import version
from typing import Any, TypeVar, cast

from rlvr.config.schema import RunConfig
from rlvr.failure import WorkError
from rlvr_envs.seeds import content_id
from rlvr_rewards.errors import UserError

T = TypeVar("T")

_PATIENCE = timedelta(days=30)
"""How long a process waits for the first one; a dead one is noticed at once."""
_LIBRARIES = ("rlvr", "torch", "transformers", "trl", "accelerate", "peft")
_OF_THE_LAUNCHER = ("RANK", "MASTER_ADDR", "MASTER_PORT")
_SPOKEN_FOR_S = 3.0
_LOOK_S = 0.05
_ended = threading.Event()


def rank() -> int:
    """The number of this process, from 0, over all machines.

    Raises:
        UserError: `RANK` is not one.
    """
    return _number("RANK", 0) if num_processes() > 1 else 0


def num_processes() -> int:
    """Of the run, over all machines.

    Raises:
        UserError: `WORLD_SIZE` is no number of processes.
    """
    return _number("WORLD_SIZE", 1, least=1)


def num_local_processes() -> int:
    """Of the run, on this machine.

    Raises:
        UserError: `LOCAL_WORLD_SIZE` is no number of processes.
    """
    return _number("LOCAL_WORLD_SIZE", 1, least=1) if num_processes() > 1 else 1


def _number(name: str, default: int, least: int = 0) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal() or int(text) < least:
        what = "number of processes" if least else "number of a process"
        raise UserError(f"{name}={text} is no {what}: unset it, or let torchrun set it")
    return int(text)


def is_first() -> bool:
    """Whether this process owns the run's folder."""
    return rank() == 0


@contextmanager
def connected(config: RunConfig) -> Iterator[None]:
    """Connects the processes of a run, and lets go of them at the end.

    Raises:
        UserError: They were not started with the same config, or not with the same versions, or by no launcher.
    """
    if num_processes() == 1:
        yield
        return
    if missing := [name for name in _OF_THE_LAUNCHER if name not in os.environ]:
        raise UserError(
            f"WORLD_SIZE={num_processes()} is set and {missing[0]} is not: start the run with torchrun or accelerate "
            "launch, or unset WORLD_SIZE"
        )
    import torch
    from accelerate import PartialState

    PartialState(cpu=not torch.cuda.is_available())
    _waiting()
    _refuse_differing(config)
    yield
    wait()  # nobody leaves while another is still being told
    _waiting.cache_clear()
    torch.distributed.destroy_process_group()  # not after an error: others may be in the middle of something


def told(value: T | None = None) -> T:
    """The first process's value, in every process; the others wait for it."""
    box: list[Any] = [value]
    if num_processes() > 1:
        import torch.distributed as dist

        dist.broadcast_object_list(box, src=0, group=_waiting())
    return box[0]


def by_first(work: Callable[[], T]) -> T:
    """What the first process's work gives, in every process; the others wait.

    Raises:
        UserError: The work did, in every process: none waits for what does not come.
        WorkError: Likewise.
    """
    found: tuple[T | None, UserError | WorkError | None] = None, None
    if is_first():
        try:
            found = work(), None
        except (UserError, WorkError) as error:
            found = None, error
    value, error = told(found)
    if error is not None:
        raise error
    return cast("T", value)


@contextmanager
def one_by_one() -> Iterator[None]:
    """Each process in turn, the first one first; what it leaves in the run's folder the others find."""
    for _ in range(rank()):
        wait()
    yield
    for _ in range(num_processes() - rank()):
        wait()


def wait() -> None:
    """Until every process has come here."""
    if num_processes() > 1:
        import torch.distributed as dist

        dist.barrier(group=_waiting())


def all_come(seconds: float) -> bool:
    """Whether every process comes here within so many seconds; those that do not are somewhere else."""
    if num_processes() == 1:
        return True
    import torch.distributed as dist

    until = time.monotonic() + seconds
    barrier: Any = dist.barrier(group=_waiting(), async_op=True)
    while not barrier.is_completed() and time.monotonic() < until:
        time.sleep(_LOOK_S)
    return barrier.is_completed() and barrier.is_success()


def agreed(number: int | None) -> int | None:
    """The greatest number that any process has; `None` where none has one. A process that stops stops them all."""
    if num_processes() == 1:
        return number
    import torch
    import torch.distributed as dist

    found = torch.tensor(-1 if number is None else number)
    dist.all_reduce(found, dist.ReduceOp.MAX, group=_waiting())
    return None if found < 0 else int(found)


def everyone(value: T) -> list[T]:
    """The values of all processes, by their numbers."""
    if num_processes() == 1:
        return [value]
    import torch.distributed as dist

    box: list[Any] = [None] * num_processes()
    dist.all_gather_object(box, value, group=_waiting())
    return box


def lost(error: BaseException) -> bool:
    """Whether an error says that another process ended or does not answer."""
    if num_processes() == 1:
        return False
    from torch.distributed import DistError

    if isinstance(error, DistError):
        return True
    says = str(error).lower()
    return "gloo" in says or "nccl" in says or "connection closed by peer" in says or "connection reset by peer" in says


def note_sigterm() -> None:
    """From now on SIGTERM is noted and no more: a launcher sends it at once to the processes that one leaves behind."""
    signal.signal(signal.SIGTERM, lambda *_: _ended.set())


def let_first_speak() -> None:
    """Where this is not the first process and something went wrong: leaves it to the first one to say so.

    What all processes run into, such as a mistake in the config, is so said once: the first one says it and ends, and
    its launcher then ends this one, in here. Where the first one has nothing to say, this one goes on after seconds.
    """
    if is_first():
        return
    note_sigterm()
    if _ended.wait(_SPOKEN_FOR_S):
        os._exit(128 + signal.SIGTERM)
    print(f"process {rank()} of {num_processes()}: ", end="", file=sys.stderr)


@cache
def _waiting() -> Any:
    import torch.distributed as dist

    return dist.new_group(backend="gloo", timeout=_PATIENCE)


def _refuse_differing(config: RunConfig) -> None:
    own = {name: version(name) for name in _LIBRARIES} | {"config": content_id(config.model_dump(mode="json"))}
    first, *others = everyone(own)
    for number, other in enumerate(others, start=1):
        for name in own:
            if other[name] != first[name]:
                raise _differing(number, name, other[name], first[name])


def _differing(number: int, name: str, its: str, firsts: str) -> UserError:
    if name == "config":
        return UserError(
            f"process {number} has another config than process 0: start all with the same file and the same --set"
        )
    return UserError(f"process {number} has {name} {its}, process 0 has {firsts}: install the same versions everywhere")
