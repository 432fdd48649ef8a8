"""Writes docs/cli.md: what `rlvr COMMAND --help` says, for every command there is.

python docs/make_cli.py        # after any change to a command; a test fails while the page is behind
"""

import contextlib
import io
import os
from pathlib import Path

from rlvr.cli import command_names, main

PAGE = Path(__file__).with_name("cli.md")
INTRO = """# The commands

Written by `python docs/make_cli.py` from what each command says of itself.

Exit codes: 0 done · 1 failed work · 2 bad input, said in one line · 130 Ctrl-C · 143 SIGTERM (both after a checkpoint,
where a training stage was under way). Where the reader of the output goes away (`| head -1`) it is 1, without a word.
An environment is written `NAME`, `"NAME?option=value&option=value"` or `FILE.py:NAME`; a reward `NAME`, `FILE.py:NAME`
or an expression over them ([rewards.md](rewards.md)).
"""


def page() -> str:
    """The whole page."""
    sections = [("rlvr", ["--help"]), *((f"rlvr {name}", [name, "--help"]) for name in command_names())]
    return "\n".join([INTRO, *(f"## {title}\n\n```text\n{help_of(argv)}```\n" for title, argv in sections)])


def help_of(argv: list[str]) -> str:
    """What the command prints, at 100 columns whatever the terminal is."""
    width = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main(argv)
    del os.environ["COLUMNS"]
    if width is not None:
        os.environ["COLUMNS"] = width
    return printed.getvalue()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
