"""The colours, in one place: a dark and a light theme, and what stands for colour where there is none (`NO_COLOR`).

Names say what a thing means (`good`, `dim`, `think`), never a hue; the style sheet of `Lines` gives each its look.
"""

import os
import re

from textual.theme import Theme

DARK = Theme(
    name="rlvr-dark",
    primary="#7fa7e6",
    secondary="#9aa5ce",
    accent="#b8a1e3",
    success="#8cc08a",
    warning="#d8b26e",
    error="#e58a86",
    foreground="#d5d8df",
    background="#15171c",
    surface="#1c1f26",
    panel="#23272f",
    dark=True,
    variables={
        "t-dim": "#8d93a1",
        "t-faint": "#565c69",
        "t-cursor": "#2b3342",
        "t-added": "#22402f",
        "t-removed": "#4a282b",
        "t-match": "#5a4a1c",
        "t-heat1": "#2a2a22",
        "t-heat2": "#40351f",
        "t-heat3": "#5c3d1e",
        "t-heat4": "#7a3a22",
        "t-heat5": "#992f2c",
    },
)
LIGHT = Theme(
    name="rlvr-light",
    primary="#2c5aa8",
    secondary="#4a5a86",
    accent="#6a4da3",
    success="#2a7345",
    warning="#8a5f08",
    error="#b0343a",
    foreground="#22262d",
    background="#fbfbf9",
    surface="#f1f1ee",
    panel="#e7e7e3",
    dark=False,
    variables={
        "t-dim": "#666b75",
        "t-faint": "#a9adb5",
        "t-cursor": "#dce6f5",
        "t-added": "#d3ecd8",
        "t-removed": "#f6d5d4",
        "t-match": "#fbe6a2",
        "t-heat1": "#f6f1dd",
        "t-heat2": "#f8e4bd",
        "t-heat3": "#f9d09a",
        "t-heat4": "#f6b184",
        "t-heat5": "#ee8f7d",
    },
)


def fitting() -> str:
    """The theme for this terminal: dark, unless `COLORFGBG` says that its background is light."""
    background = os.environ.get("COLORFGBG", "").rpartition(";")[2]
    return LIGHT.name if background in ("7", "15") else DARK.name


PALETTE_CSS = """
    Lines > .dim { color: $t-dim; }
    Lines > .faint { color: $t-faint; }
    Lines > .bold { text-style: bold; }
    Lines > .head { color: $t-dim; text-style: bold; }
    Lines > .title { color: $primary; text-style: bold; }
    Lines > .key { color: $primary; }
    Lines > .good { color: $success; }
    Lines > .bad { color: $error; }
    Lines > .warn { color: $warning; }
    Lines > .accent { color: $accent; }
    Lines > .think { color: $t-dim; }
    Lines > .escape { color: $warning; text-style: reverse; }
    Lines > .cursor { background: $t-cursor; }
    Lines > .added { background: $t-added; }
    Lines > .removed { background: $t-removed; }
    Lines > .match { background: $t-match; }
    Lines > .token { text-style: reverse; }
    Lines > .heat1 { background: $t-heat1; }
    Lines > .heat2 { background: $t-heat2; }
    Lines > .heat3 { background: $t-heat3; }
    Lines > .heat4 { background: $t-heat4; }
    Lines > .heat5 { background: $t-heat5; }
    Lines:nocolor > .cursor { text-style: reverse; }
    Lines:nocolor > .added { text-style: underline; }
    Lines:nocolor > .removed { text-style: strike; }
    Lines:nocolor > .match { text-style: reverse; }
    Lines:nocolor > .good { text-style: bold; }
    Lines:nocolor > .faint { text-style: dim; }
    Lines:nocolor > .heat3 { text-style: underline; }
    Lines:nocolor > .heat4 { text-style: bold underline; }
    Lines:nocolor > .heat5 { text-style: reverse; }
"""
NAMES = frozenset(re.findall(r"> \.(\w+)", PALETTE_CSS))
"""The names that a piece of a line can be styled by."""
