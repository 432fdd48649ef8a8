"""Rewards that hang, crash and wait, at the top of a module, where worker processes find them."""

import asyncio
import os
import time

from rlvr_rewards import penalty, reward


@reward(runs="process", deadline_s=1.0)
def fickle(completion: str, *, worth: float = 0.5) -> float | None:
    """Does what the completion says."""
    match completion:
        case "hang":
            _ = 10 ** (10**9)  # one operation of C, which no exception can end
        case "exit":
            os._exit(3)
        case "leave":
            raise SystemExit(1)
        case "crash":
            os.kill(os.getpid(), 11)
        case "memory":
            bytearray(10**12)
        case "raise":
            raise KeyError("x")
        case "none":
            return None
        case "much":
            return 7.0
        case "text":
            return "much"  # pyright: ignore
    return worth


@reward(runs="process")
def whose(completion: str) -> float:
    """A part of the number of the process that computes it."""
    return os.getpid() / 10**9


@reward(runs="process", low=-10.0, high=10.0)
def batch_in_process(completions, answer, **columns) -> list[float]:
    return [float(len(text) - len(gold)) for text, gold in zip(completions, answer, strict=True)]


@reward(runs="thread", deadline_s=5.0)
def sleeps(completion: str) -> float:
    time.sleep(float(completion))
    return 1.0


@reward(deadline_s=5.0)
async def asleep(completion: str) -> float:
    await asyncio.sleep(float(completion))
    return 1.0


@reward
async def batch_asleep(completions, **columns) -> list[float]:
    await asyncio.sleep(0.01)
    return [float(len(text)) for text in completions]


@penalty(deadline_s=0.2)
async def stubborn(completion: str) -> float:
    """Blocks the loop, or refuses to be cancelled."""
    if completion == "block":
        time.sleep(3.0)
    try:
        await asyncio.sleep(float(completion == "refuse") * 3)
    except asyncio.CancelledError:
        await asyncio.sleep(3)
    return 0.0


@reward(runs="thread", deadline_s=5.0)
def waits_briefly(completion: str) -> float:
    time.sleep(0.01)
    return 1.0


@reward(deadline_s=5.0)
async def awaits_briefly(completion: str) -> float:
    await asyncio.sleep(0.01)
    return 1.0
