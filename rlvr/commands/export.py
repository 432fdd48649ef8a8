"""Write a model as GGUF files for llama.cpp, Ollama and phones, and prove that they answer like it.

MODEL is a folder, an adapter's folder (it is merged first) or a hub id. DIR gets a file for each type, a Modelfile for
Ollama, RUN.md, and parity.json: tokens, log-probs, greedy completions and, with --env, the environment's own
evaluation, model against file in llama.cpp. A file that fails is not written, and the exit code is 1.
Types: F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q4_K_M, Q4_0.
"""

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from rlvr.commands._arguments import at_least, number_from_zero

if TYPE_CHECKING:
    from rlvr.gguf.export import ExportSettings


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a model's folder, an adapter's, or a hub id as owner/name")
    parser.add_argument("--to", required=True, metavar="DIR", help="the folder to write into")
    parser.add_argument("--types", default="F16,Q8_0", help="types of files (default F16,Q8_0)")
    parser.add_argument("--env", help='whose evaluation must hold: NAME, "NAME?option=value" or FILE.py:NAME')
    parser.add_argument("--n", type=at_least(2), default=500, help="tasks of it (default 500)")
    parser.add_argument("--split", default="test", help="of which split (default test)")
    parser.add_argument("--temperature", type=number_from_zero, default=1.0, help="0 is greedy (default 1)")
    parser.add_argument("--max-new-tokens", type=at_least(1), default=256, help="of one completion (default 256)")
    parser.add_argument("--seed", type=at_least(0), default=0, help="decides tasks and samples (default 0)")
    parser.add_argument("--margin", type=number_from_zero, default=2.0, help="points it may drop (default 2)")
    parser.add_argument("--name", help="what the files begin with (default: the last part of MODEL)")
    parser.add_argument("--author", default="", help="for the files' metadata")
    parser.add_argument("--license", default="", help="for the files' metadata (default: what the model card says)")
    parser.add_argument("--force", action="store_true", help="replace files of an earlier export")
    parser.add_argument("--no-verify", action="store_true", help="write the files without proving anything")


def run(args: argparse.Namespace) -> int:
    from rlvr.installed import require, require_gguf

    require("rlvr export", "torch", "transformers", "pyarrow")
    require_gguf()
    from rlvr.pipeline.environment import prepare_process, quiet_libraries

    prepare_process()
    quiet_libraries()
    from rlvr.console import console
    from rlvr.gguf.export import export, failure_of
    from rlvr.gguf.report import show_export, write_companions

    settings, to = _settings(args), Path(args.to)
    name = args.name or Path(args.model).resolve().name
    exported = export(args.model, to, name, settings, console(stderr=True))
    write_companions(exported, to, name, settings)
    show_export(console(), exported, settings)
    if failure := failure_of(exported):
        raise failure
    return 0


def _settings(args: argparse.Namespace) -> "ExportSettings":
    from rlvr.engine.sampling import SamplingParams
    from rlvr.evaluation.evaluate import Exam, held_out_tasks
    from rlvr.gguf.credits import Credits
    from rlvr.gguf.export import ExportSettings
    from rlvr.gguf.file_types import parse_types
    from rlvr_envs import make

    types = parse_types(args.types)
    exam = None
    if args.env and not args.no_verify:
        env = make(args.env)
        tasks = held_out_tasks(env, args.split, args.n, args.seed)
        exam = Exam(env, env.reward, args.split, tasks, 1, args.seed, "")
    return ExportSettings(
        types=types,
        verify=not args.no_verify,
        exam=exam,
        params=SamplingParams(args.max_new_tokens, args.temperature),
        margin=args.margin,
        credits=Credits(args.name or "", args.author, args.license),
        force=args.force,
        measured_by=f"--env {shlex.quote(args.env or 'ENV')}",
    )
