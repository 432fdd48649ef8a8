"""What the environment `scheduling` is made of: events, solver, answers, verdict, generator and baselines.

The environment itself is `rlvr_envs.library.scheduling`. A schedule's value is the sum of its minutes, those of a
priority event counted twice; events may touch, and never overlap.
"""
