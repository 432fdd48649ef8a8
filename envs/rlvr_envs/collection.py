"""Collections: other people's tasks as environments, many behind one prefix, `reasoning_gym/leg_counting`.

A collection is a module of `rlvr_envs.adapters`, or an installed package's entry point `rlvr.collections`. It makes an
environment class when one is asked for, so that listing the environments imports none of the packages behind them.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from rlvr_envs.environment import Environment
from rlvr_rewards.discovery import Catalogue
from rlvr_rewards.errors import UserError


class Collection(ABC):
    """Environments made on demand.

    Attributes:
        name: The prefix before the slash.
        package: What must be installed for it, as `pip install` takes it.
    """

    name: ClassVar[str] = ""
    package: ClassVar[str] = ""

    @abstractmethod
    def about(self) -> Mapping[str, str]:
        """What each environment is, in one line, by its name without the prefix; empty where they cannot be listed.

        Raises:
            UserError: The package behind it is not installed.
        """

    @abstractmethod
    def get(self, name: str) -> type[Environment]:
        """The class of the environment `PREFIX/name`.

        Raises:
            UserError: There is none (the nearest is offered), or the package behind it is not installed.
        """

    def not_installed(self) -> UserError:
        """What is said where the package behind it cannot be imported."""
        return UserError(f"environments {self.name}/… come from {self.package}: pip install {self.package!r}")


def _name_of(thing: Any) -> str | None:
    return thing.name if isinstance(thing, Collection) else None


COLLECTIONS: Catalogue[Collection] = Catalogue("collection", "rlvr_envs.adapters", "rlvr.collections", _name_of)
