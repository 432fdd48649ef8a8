"""`verifiers/ID`: installed tasksets of verifiers (MIT, github.com/PrimeIntellect-ai/verifiers), by the ids it has.

Through its public API, `verifiers.v1`: a taskset's tasks are rows, its task's `@vf.reward` methods the parts of the
reward. The other way, ours as a taskset of theirs, is `rlvr_taskset`.
"""

from collections.abc import Mapping
from importlib.util import find_spec

from rlvr_envs.collection import Collection
from rlvr_envs.environment import Environment


class VerifiersCollection(Collection):
    """Whatever `vf-eval ID` would find; what is installed cannot be listed, for any module may hold a taskset."""

    name = "verifiers"
    package = "rlvr[verifiers]"

    def about(self) -> Mapping[str, str]:
        return {}

    def get(self, name: str) -> type[Environment]:
        if find_spec("verifiers") is None:
            raise self.not_installed()
        from rlvr_envs.adapters.verifiers.environment import environment_class

        return environment_class(name)


VERIFIERS = VerifiersCollection()
