"""Reinforcement learning with verifiable rewards: config, commands and the pipeline from a task to a trained model.

Not here: what earns a score (`rlvr_rewards`) and the tasks (`rlvr_envs`). Importing this package imports no torch.
"""


def __getattr__(name: str) -> str:
    """`rlvr.__version__`, read from the package's metadata when asked: that alone would double the start-up time."""
    if name == "__version__":
        from importlib.metadata import version

        return version("rlvr")
    raise AttributeError(f"module 'rlvr' has no attribute {name!r}")
