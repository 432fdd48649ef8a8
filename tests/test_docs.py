"""What the pages name is there: links, paths, commands with their options, configs; and what the README shows runs."""

import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from rlvr.cli import Parser, command_names
from rlvr.config.load import find_config
from rlvr_rewards.discovery import load_file

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
ROOMS = ("benchmarks", "configs", "docs", "envs", "examples", "requirements", "rewards", "rlvr", "tests")
MADE_BY_THE_READER = ("rlvr/stages/note.py", "tests/envs/test_digit_sum.py")
README_SECTIONS = ("Your first reward", "Your first environment", "Score completions you already have")


def of_pages(find):
    """Every finding of a page as a test of its own, with the page's name."""
    cases = [(page.relative_to(ROOT).as_posix(), found) for page in PAGES for found in find(page.read_text("utf-8"))]
    return [pytest.param(page, found, id=f"{page}: {found}") for page, found in dict.fromkeys(cases)]


def links(text):
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]


def paths(text):
    """`rlvr/stages/` and the like; what Gymnasium calls an environment looks the same, and is none."""
    named = re.findall(rf"`((?:{'|'.join(ROOMS)})/[\w./-]*)`", text)
    return [path for path in named if not path.endswith("-v0") and path not in MADE_BY_THE_READER]


def tree(text):
    """The paths of the annotated tree, each below the one that it is indented under."""
    found, above = [], ""
    for line in "".join(re.findall(r"```tree\n(.*?)```", text, re.DOTALL)).splitlines():
        name = line.split()[0]
        above = above if line.startswith(" ") else name
        found.append(above + name if line.startswith(" ") else name)
    return found


def shown_commands(text):
    """Every `rlvr NAME …` in code, without a trailing comment; alternatives and prose in capitals stay in."""
    text = re.sub(r"```text\n.*?```", "", text, flags=re.DOTALL)  # help texts say `rlvr COMMAND`
    fenced = "\n".join(re.findall(r"```\w*\n(.*?)```", text, re.DOTALL))
    inline = re.findall(r"`(rlvr [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    lines = [line.strip().removeprefix(".venv/bin/") for line in fenced.splitlines()]
    commands = [line for line in lines if re.match(r"rlvr [a-z]", line)] + inline
    return [re.split(r"\s+[#<>|]\s*", " ".join(command.split()))[0] for command in commands]


def parser_of(name):
    parser = Parser(prog=name)
    importlib.import_module(f"rlvr.commands.{name}").configure(parser)
    return parser


@pytest.mark.parametrize(("page", "link"), of_pages(links))
def test_links_lead_somewhere(page, link):
    path, _, anchor = link.partition("#")
    target = (ROOT / page).parent / path if path else ROOT / page
    assert target.exists()
    if anchor:
        headings = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE)
        assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("page", "path"), of_pages(lambda text: paths(text) + tree(text)))
def test_paths_are_there(page, path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("page", "command"), of_pages(shown_commands))
def test_commands_and_their_options_are_known(page, command):
    name, *rest = shlex.split(command)[1:]
    if name.startswith("-"):
        return
    assert name in command_names()
    known = parser_of(name).format_help()
    for word in rest:
        if word.startswith("--"):
            assert re.search(rf"{word.partition('=')[0]}\b", known)


@pytest.mark.parametrize(("page", "command"), of_pages(shown_commands))
def test_configs_that_are_run_exist(page, command):
    _, name, *rest = shlex.split(command)
    if name == "run" and rest and not re.fullmatch(r"[A-Z]+(\.toml)?|my_.*", rest[0]):
        assert find_config(re.sub(r"^configs/", f"{ROOT}/configs/", rest[0])).is_file()


def test_the_pages_were_found_to_name_something():
    texts = [page.read_text("utf-8") for page in PAGES]
    for find in (links, paths, tree, shown_commands):
        assert sum(len(find(text)) for text in texts) > 5, find.__name__


def test_the_page_of_commands_is_current():
    """Compared without white space, since Python's versions break the lines of a help text differently."""
    made = load_file(ROOT / "docs" / "make_cli.py")
    assert made.PAGE.read_text("utf-8").split() == made.page().split(), "run: python docs/make_cli.py"


@pytest.mark.parametrize("section", README_SECTIONS)
def test_the_readme_runs_as_written_in_an_empty_folder(section, tmp_path):
    text = (ROOT / "README.md").read_text("utf-8").partition(f"## {section}\n")[2].partition("\n## ")[0]
    for number, block in enumerate(re.findall(r"```bash\n(.*?)```", text, re.DOTALL)):
        script = tmp_path / f"block_{number}.sh"
        script.write_text(f"set -euo pipefail\n{block}")
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", script.name], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, check=True)
        for said in re.findall(r"^print\(.*\)  # (.*)$", block, re.MULTILINE):
            assert said in done.stdout
