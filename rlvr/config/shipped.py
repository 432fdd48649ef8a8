"""Finding a config: a file, or one that comes with the package, by its name and from any folder."""

from importlib.resources import files
from pathlib import Path

from rlvr_rewards.errors import UserError, unknown_name


def find_config(name_or_path: str) -> Path:
    """The file of a config: a path, or the name of one that comes with the package.

    Raises:
        UserError: There is no such file or name; the nearest name is offered.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    if path.suffix == ".toml":
        raise UserError(f"{path}: no such config file")
    shipped = shipped_configs()
    if name_or_path not in shipped:
        raise unknown_name("config", name_or_path, shipped)
    return shipped[name_or_path]


def shipped_configs() -> dict[str, Path]:
    """The configs that come with the package, by name: in a wheel inside it, in a checkout beside it."""
    inside = Path(str(files("rlvr"))) / "configs"
    folder = inside if inside.is_dir() else inside.parent.parent / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}
