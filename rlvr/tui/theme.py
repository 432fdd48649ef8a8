"""The colours, in one place: a dark and a light theme, and what stands for colour where there is none (`NO_COLOR`).

Names say what a thing means (`good`, `dim`, `think`), never a hue.
"""

import os
from collections.abc import Mapping

from rich.style import Style
from textual.color import Color
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
        "t-differs": "#24436b",
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
        "t-differs": "#cfe2fa",
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


LOOKS: dict[str, tuple[str, str, str]] = {
    "dim": ("t-dim", "", ""),
    "faint": ("t-faint", "", ""),
    "bold": ("", "", "bold"),
    "head": ("t-dim", "", "bold"),
    "title": ("primary", "", "bold"),
    "key": ("primary", "", ""),
    "good": ("success", "", ""),
    "bad": ("error", "", ""),
    "warn": ("warning", "", ""),
    "accent": ("accent", "", ""),
    "think": ("t-dim", "", ""),
    "escape": ("warning", "", "reverse"),
    "cursor": ("", "t-cursor", ""),
    "differs": ("", "t-differs", ""),
    "match": ("", "t-match", ""),
    "token": ("", "", "reverse"),
    **{f"heat{step}": ("", f"t-heat{step}", "") for step in range(1, 6)},
}
"""What each name looks like: the variable of its colour, that of its ground, and attributes."""
_WITHOUT_COLOUR = {
    "cursor": "reverse",
    "differs": "bold underline",
    "match": "reverse",
    "good": "bold",
    "faint": "dim",
    "heat3": "underline",
    "heat4": "bold underline",
    "heat5": "reverse",
}
"""The attributes that stand in where there is no colour."""


def palette(variables: Mapping[str, str], no_color: bool) -> dict[str, Style]:
    """The styles by name, for the variables of a theme."""
    return {name: _style(variables, name, no_color) for name in LOOKS}


def _style(variables: Mapping[str, str], name: str, no_color: bool) -> Style:
    colour, ground, attributes = LOOKS[name]
    if no_color:
        return Style.parse(_WITHOUT_COLOUR.get(name, attributes) or "none")
    return Style.parse(attributes or "none") + Style(
        color=Color.parse(variables[colour]).rich_color if colour else None,
        bgcolor=Color.parse(variables[ground]).rich_color if ground else None,
    )
