"""The package installs anywhere because it imports next to nothing."""

import subprocess
import sys

HEAVY = ["torch", "transformers", "trl", "datasets", "pydantic", "gymnasium", "numpy", "hypothesis", "rich", "pytest"]
HEAVY += ["jsonschema", "rapidfuzz", "re2", "rouge_score", "sacrebleu", "nltk", "math_verify", "sympy"]


def test_importing_the_rewards_and_scoring_pulls_in_nothing_heavy():
    program = (
        "import sys, rlvr_rewards, rlvr_rewards.testing\n"
        "from rlvr_rewards.catalogue import REWARDS\n"
        "REWARDS.names()\n"
        "assert rlvr_rewards.exact_number('<answer>7</answer>', '7') == 1.0\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
