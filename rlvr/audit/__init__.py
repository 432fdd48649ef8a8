"""Can a reward be earned without solving? Degenerate policies and mutations of gold against any environment and reward.

No model is asked: a policy here is a function that writes a completion no honest attempt would, and a mutation changes
one thing about gold. `rlvr audit` prints what they earn, `rlvr.audit.testing` holds a test to it.

Not here: whether a reward keeps its contract (`rlvr_rewards.testing`, `rlvr_envs.testing`), and training against it.
"""
