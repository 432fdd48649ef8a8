"""Libraries that only some rewards need: imported when such a reward is first called, never before."""

import importlib
from functools import cache
from typing import Any

from rlvr_rewards.errors import UserError


@cache
def optional_module(name: str, package: str) -> Any:
    """A module of a package that may not be installed.

    Args:
        name: The module, such as `rapidfuzz.distance`.
        package: What to install for it, such as `rapidfuzz`.

    Raises:
        UserError: It is not installed, or cannot be imported; the message names the package.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"this reward needs {package}: pip install {package} ({error})") from None
