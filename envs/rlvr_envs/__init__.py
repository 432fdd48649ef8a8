"""Verifiable tasks: rows, prompt, gold answer and reward; every one is also a gymnasium environment.

Not here: what earns a score (`rlvr_rewards`) and training (`rlvr`). Importing this package imports no torch.
"""

from rlvr_envs.catalogue import ENVIRONMENTS, make
from rlvr_envs.environment import Baseline, Environment, GeneratedEnvironment, Message, Task
from rlvr_envs.episode import Episode
from rlvr_envs.gym import register

__all__ = ["ENVIRONMENTS", "Baseline", "Environment", "Episode", "GeneratedEnvironment", "Message", "Task", "make"]

register()
