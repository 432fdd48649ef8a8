"""Write one file with a new reward or environment and its tests, which pass as written.

The file needs no registration: it is used as FILE.py:NAME wherever a name is asked for.
"""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=("env", "reward"))
    parser.add_argument("name", help="its name, such as digit_sum")
    parser.add_argument("--dir", default=".", help="the folder to write to (default: this one)")
    parser.add_argument("--force", action="store_true", help="replace the file where it exists")


def run(args: argparse.Namespace) -> int:
    from pathlib import Path
    from string import Template

    from rlvr import templates
    from rlvr.console import console
    from rlvr.replacing import replacing

    template = templates.ENV if args.kind == "env" else templates.REWARD
    name, cls = names(args.name)
    path = Path(args.dir) / f"{name}.py"
    _refuse_taken(template, name, cls if args.kind == "env" else name, path)
    with replacing(str(path), args.force) as file:
        file.write(Template(template).substitute(name=name, cls=cls, file=path).encode())
    lines = _next_of_env(f"{path}:{cls}") if args.kind == "env" else _next_of_reward(f"{path}:{name}")
    console().print("\n".join([f"wrote {path}", f"  test it      python -m pytest {path}", *lines]), soft_wrap=True)
    return 0


def _next_of_reward(used_as: str) -> list[str]:
    return [
        f"  look at it   rlvr rewards {used_as}",
        f"  cheat it     rlvr audit --env arithmetic --reward {used_as}",
        f"  train on it  expression = \"'{used_as}'\" under [reward] in a run's config",
    ]


def _next_of_env(used_as: str) -> list[str]:
    return [
        f"  look at it   rlvr envs {used_as}",
        f"  play it      rlvr play --env {used_as}",
        f"  cheat it     rlvr audit --env {used_as}",
        f'  train on it  name = "{used_as}" under [env] in a run\'s config',
    ]


def names(given: str) -> tuple[str, str]:
    """The name of the file and thing, and that of a class: `digit_sum` and `DigitSum`, whichever was given.

    Raises:
        UserError: Python or pytest would not take it as a name.
    """
    import re
    from keyword import iskeyword

    from rlvr_rewards import UserError

    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", given).lower()
    if not re.fullmatch(r"[a-z][a-z0-9_]*", snake) or iskeyword(snake):
        raise UserError(f"{given!r} cannot be a name: use letters, digits and _, such as digit_sum")
    if snake.startswith("test"):
        raise UserError(f"{given!r}: pytest takes what begins with 'test' for a test; choose another name")
    return snake, "".join(part.capitalize() for part in snake.split("_"))


def _refuse_taken(template: str, module: str, thing: str, path: "Path") -> None:
    import builtins
    import re
    from importlib.util import find_spec

    from rlvr_rewards import UserError

    if re.search(rf"\b{thing}\b", template) or hasattr(builtins, thing):
        raise UserError(f"{thing!r} means something else in that file already: choose another name")
    spec = find_spec(module)
    if spec and spec.origin != str(path.resolve()):
        raise UserError(f"a file {module}.py would hide the Python module {module!r}: choose another name")
