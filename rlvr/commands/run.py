"""Run a pipeline, or go on with one that was broken off.

CONFIG is a TOML file or the name of a shipped one. Running the same command again resumes: finished stages are skipped,
a broken one goes on from its last checkpoint. With another setting, the stage that it is of runs again, and those that
take its model. Ctrl-C and SIGTERM finish the step under way and save first; SIGUSR1 saves and goes on.
"""

import argparse
from contextlib import closing
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help="a TOML file, or the name of a shipped config")
    parser.add_argument("--run-dir", metavar="DIR", help="where the run is kept (default: runs/NAME)")
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting, such as env.tier=hard or stage.grpo.trl.beta=0.04; may be given again",
    )
    parser.add_argument(
        "--check", action="store_true", help="check the config, print the plan and a memory estimate; load nothing"
    )
    parser.add_argument(
        "--plan", action="store_true", help="say for each stage whether it would run, and why; load nothing"
    )


def run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from rlvr.config.load import load_config
    from rlvr.config.shipped import find_config
    from rlvr.config.trl_settings import has_trl
    from rlvr.installed import require
    from rlvr.pipeline.environment import prepare_process
    from rlvr.pipeline.folder import RunFolder
    from rlvr.pipeline.plan import check, print_actions, print_plan
    from rlvr.pipeline.processes import connected, is_first
    from rlvr.pipeline.run import run_pipeline
    from rlvr.stopping import save_signal_waits

    prepare_process(offline=args.check or args.plan)
    config = load_config(args.config, args.overrides)
    console = Console() if is_first() else Console(quiet=True, force_terminal=False)
    for warning in check(config):
        console.print(f"warning: {warning}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    path = Path(args.run_dir or f"runs/{find_config(args.config).stem}")
    if args.plan:
        print_actions(config, path, console)
    if args.check:
        print_plan(config, path, console)
        if not has_trl():
            unchecked = "TRL's settings were not checked: trl is not installed (pip install 'rlvr[train]')"
            console.print(unchecked, markup=False, highlight=False, soft_wrap=True)
    if args.check or args.plan:
        return 0
    require("rlvr run", "torch", "transformers", "trl")
    with save_signal_waits(), connected(config), closing(RunFolder(path, locked=is_first())) as folder:
        run_pipeline(config, folder, console)
    return 0
