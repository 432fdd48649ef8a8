"""What would another reward have done? Frozen traces scored again, beside what is recorded; nothing is sampled.

    from rlvr.rescore import rescore

    found = rescore("runs/quickstart", "optimum_ratio & success", stage="grpo")
    found.total.groups.zero_variance_before, found.total.groups.zero_variance_after
    [each.row.completion for each in found.disagreements]

Not here: scoring completions without a run (`rlvr.score_stream`), and looking at traces (`rlvr.tui`).
"""

from rlvr.rescore.result import Rescored, Stretch
from rlvr.rescore.run import rescore

__all__ = ["Rescored", "Stretch", "rescore"]
