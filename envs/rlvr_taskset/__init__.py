"""Our environments under an id that verifiers finds: `vf-eval rlvr-taskset --env.taskset.environment scheduling …`.

verifiers imports a taskset by the name of a module, and the harness beside it; this is that module and nothing more.
"""

from rlvr_envs.adapters.verifiers.ours import OurHarness, OurTaskset

__all__ = ["OurHarness", "OurTaskset"]
