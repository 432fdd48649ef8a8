"""Running code that a model wrote: in a process of its own, with nothing to reach and little to use.

    run = call_function("def double(x): return 2 * x", "double", [[4]])
    run.results[0].value        # 8, to be compared with what was expected: that never goes in

Linux only: bubblewrap or the kernel's namespaces; where neither is safe, nothing is run and a `UserError` says how to
mend it. What is guarded by what, and what is not: `docs/sandbox.md`. Not here: what the results earn
(`rlvr_rewards.library.code`).
"""

from rlvr_rewards.sandbox.backends import Backend, backend, why_not
from rlvr_rewards.sandbox.limits import Limits
from rlvr_rewards.sandbox.outcome import Ending, Outcome, Result
from rlvr_rewards.sandbox.running import call_function, check_asserts, run_program

__all__ = [
    "Backend",
    "Ending",
    "Limits",
    "Outcome",
    "Result",
    "backend",
    "call_function",
    "check_asserts",
    "run_program",
    "why_not",
]
