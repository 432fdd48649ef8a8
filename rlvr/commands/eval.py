"""Measure a model on an environment's held-out tasks: every metric with its 95% interval.

MODEL is a folder, a hub id, a GGUF file (llama.cpp runs it), or an OpenAI-compatible server, written
"http://HOST:PORT/v1?model=NAME&concurrency=8" (its key: OPENAI_API_KEY); an environment is NAME, "NAME?option=value" or
FILE.py:NAME. It is the evaluation that the stage `evaluate` makes: with the same settings it gives the same numbers.
"""

import argparse
import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlvr.engine.samplers import SamplerSettings
    from rlvr.engine.sampling import SamplingParams
    from rlvr.evaluation.evaluate import Exam
    from rlvr.traces.store import TraceWriter


def configure(parser: argparse.ArgumentParser) -> None:
    from rlvr.commands._arguments import at_least
    from rlvr.commands._sampling import add_sampling

    parser.add_argument("--model", required=True, metavar="PATH|ID|FILE.gguf|URL", help="a model; see above")
    parser.add_argument("--env", required=True, help='NAME, "NAME?option=value" or FILE.py:NAME')
    parser.add_argument("--n", type=at_least(1), default=500, help="tasks (default 500)")
    parser.add_argument("--samples", type=at_least(1), default=1, help="completions a task (default 1)")
    parser.add_argument("--seed", type=at_least(0), default=0, help="decides tasks and samples (default 0)")
    parser.add_argument("--split", default="test", help="which split (default test)")
    add_sampling(parser)
    parser.add_argument("--json", metavar="OUT", help="write the results as JSON, rows as in a run's results.json")
    parser.add_argument("--traces", metavar="DIR", help="keep every completion; read them with rlvr traces DIR")
    parser.add_argument("--force", action="store_true", help="replace OUT, and this model's traces in DIR")


def run(args: argparse.Namespace) -> int:
    from rlvr.commands._sampling import sampler_settings, sampling_params
    from rlvr.installed import require

    require("rlvr eval", "torch", "transformers", "pyarrow")
    sampler, params = sampler_settings(args), sampling_params(args)  # what is refused, is so before anything loads
    from rlvr.pipeline.environment import prepare_process, quiet_libraries

    prepare_process()
    _refuse_unsupported(args.model)
    from rlvr.evaluation.evaluate import Exam, held_out_tasks
    from rlvr.replacing import replacing
    from rlvr_envs import make

    env = make(args.env)
    tasks = held_out_tasks(env, args.split, args.n, args.seed)
    label = Path(args.traces).resolve().name if args.traces else ""
    exam = Exam(env, env.reward, args.split, tasks, args.samples, args.seed, label)
    with replacing(args.json, args.force) if args.json else contextlib.nullcontext() as out:
        traces = _trace_writer(args, _stage_name(args.model))
        quiet_libraries()
        rows = _measure(args, exam, params, sampler, traces)
        if out:
            out.write((json.dumps(rows, indent=1) + "\n").encode())
    return 0


def _measure(
    args: argparse.Namespace,
    exam: "Exam",
    params: "SamplingParams",
    sampler: "SamplerSettings",
    traces: "TraceWriter | None",
) -> list[dict[str, Any]]:
    """Evaluates, shows every metric, and returns the rows."""
    from rlvr.config.schema import ModelConfig
    from rlvr.console import console
    from rlvr.evaluation.evaluate import evaluate
    from rlvr.evaluation.policy import load_policy
    from rlvr.evaluation.results import result_rows
    from rlvr.evaluation.table import show_model
    from rlvr.progress import progress_bar

    stage, err = _stage_name(args.model), console(stderr=True)
    policy = load_policy(
        args.model, ModelConfig(path=args.model), exam.env, params, exam.split, exam.seed, sampler, err.print
    )
    with contextlib.closing(policy), progress_bar(err, stage, len(exam.tasks)) as advance:
        evaluation = evaluate(stage, policy, exam, traces, on_tasks=advance)
    rows = result_rows([evaluation], exam, {stage: args.model}, compared=())
    show_model(console(), rows, evaluation)
    return rows


def _stage_name(model: str) -> str:
    """What a model is called in results and traces: the last part of its path or id, of a server its name there."""
    from rlvr.evaluation.chat_server import parse_address
    from rlvr.evaluation.server_policy import is_server

    if is_server(model):
        return parse_address(model).label
    return Path(model).name or Path(model).resolve().name


def _refuse_unsupported(model: str) -> None:
    from rlvr_rewards import UserError

    if model == "scratch":
        raise UserError("--model scratch: that is made by rlvr run; give the folder of one that was trained")


def _trace_writer(args: argparse.Namespace, stage: str) -> "TraceWriter | None":
    from rlvr.traces.store import TraceWriter, shards
    from rlvr_rewards import UserError

    if not args.traces:
        return None
    writer = TraceWriter(Path(args.traces), stage, args.split)
    if shards(writer.folder, stage, args.split, step=0) and not args.force:
        raise UserError(f"{args.traces} holds traces of {stage} already: give --force to replace them, or another DIR")
    return writer
