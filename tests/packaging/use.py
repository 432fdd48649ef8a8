"""Run by check.sh as `python - KIND < use.py` among decoys: the packages, their resources and gymnasium's registry."""

import sys
from importlib.util import find_spec
from pathlib import Path

import gymnasium

import rlvr
import rlvr_envs
import rlvr_rewards
from rlvr.config.shipped import shipped_configs

for package in (rlvr, rlvr_envs, rlvr_rewards):
    is_installed = "site-packages" in Path(str(package.__file__)).parts
    assert is_installed == (sys.argv[1] == "wheel"), f"{package.__name__} was imported from {package.__file__}"
for heavy in ("torch", "transformers", "datasets"):
    assert find_spec(heavy) is None, f"the light core installed {heavy}"

assert "quickstart" in shipped_configs(), "the shipped configs were not found"

env = gymnasium.make("rlvr/arithmetic-v0")
observation, info = env.reset(seed=0)
assert observation is not None
env.close()
