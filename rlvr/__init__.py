"""Reinforcement learning with verifiable rewards: config, commands and the pipeline from a task to a trained model.

Not here: what earns a score (`rlvr_rewards`) and the tasks (`rlvr_envs`). Importing this package imports no torch.
"""

from importlib.metadata import version

__version__ = version("rlvr")
