"""Every reward by its name: ours, those of installed packages (entry point `rlvr.rewards`), and a file's."""

from typing import Any

from rlvr_rewards.algebra import Reward
from rlvr_rewards.discovery import Catalogue


def _name_of(thing: Any) -> str | None:
    return (thing.name or "reward") if isinstance(thing, Reward) else None


REWARDS: Catalogue[Reward] = Catalogue("reward", "rlvr_rewards.library", "rlvr.rewards", _name_of)
