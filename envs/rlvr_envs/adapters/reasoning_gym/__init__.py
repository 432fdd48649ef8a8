"""`reasoning_gym/NAME`: the datasets of reasoning-gym (Apache-2.0, github.com/open-thought/reasoning-gym).

A dataset's own configuration is the environment's options, but for `seed` and `size`: rows come without end, and from
the seed that they are asked for with. What a completion earns is what the dataset's own scorer gives its answer.
"""

from collections.abc import Callable, Mapping
from difflib import get_close_matches

from rlvr_envs.collection import Collection
from rlvr_envs.environment import Environment
from rlvr_rewards import UserError


class ReasoningGymCollection(Collection):
    """Every dataset that reasoning-gym registers."""

    name = "reasoning_gym"
    package = "rlvr[reasoning-gym]"

    def about(self) -> Mapping[str, str]:
        from rlvr_envs.adapters.reasoning_gym.datasets import about, names

        return {name: about(name) for name in self._all(names)}

    def get(self, name: str) -> type[Environment]:
        from rlvr_envs.adapters.reasoning_gym.datasets import names
        from rlvr_envs.adapters.reasoning_gym.environment import environment_class

        if name not in (known := self._all(names)):
            near = get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise UserError(f"unknown dataset of {self.name} {name!r}: {hint}All {len(known)}: rlvr envs {self.name}")
        return environment_class(name)

    def _all(self, names: Callable[[], list[str]]) -> list[str]:
        try:
            return names()
        except ImportError:
            raise self.not_installed() from None


REASONING_GYM = ReasoningGymCollection()
