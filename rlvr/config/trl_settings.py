"""The names of TRL's settings, read from its source text: importing TRL costs four seconds, reading it a tenth of one.

Only names are known here; whether a value fits, TRL says itself when the stage starts.
"""

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from rlvr_rewards.errors import UserError


def has_trl() -> bool:
    """Whether TRL's settings can be read here: TRL and transformers are installed."""
    return find_spec("trl") is not None and find_spec("transformers") is not None


@cache
def trl_settings(config_class: str) -> frozenset[str]:
    """Every field of a dataclass of TRL's, such as `GRPOConfig`, those of its parents included.

    Raises:
        UserError: TRL or transformers is not installed.
    """
    return frozenset(_fields(config_class))


def _fields(class_name: str) -> set[str]:
    node = next((node for node in _classes() if node.name == class_name), None)
    assert node is not None, f"TRL has no {class_name}: its files moved"
    own = {
        item.target.id for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }
    inherited = {base.id for base in node.bases if isinstance(base, ast.Name)}
    return own.union(*(_fields(parent) for parent in inherited))


@cache
def _classes() -> tuple[ast.ClassDef, ...]:
    files = [
        *sorted((_folder("trl") / "trainer").glob("*_config.py")),
        *sorted((_folder("trl") / "experimental").glob("*/*_config.py")),
        _folder("transformers") / "training_args.py",
    ]
    trees = (ast.parse(file.read_text(encoding="utf-8")) for file in files)
    return tuple(node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef))


def _folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"training needs {package}, which is not installed: pip install 'rlvr[train]'")
    return Path(spec.submodule_search_locations[0])
