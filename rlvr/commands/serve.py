"""Start a vLLM server that GRPO and rlvr eval sample from with `sampler = "vllm-server"`.

MODEL gives the architecture: the weights are random until a run brings its own, so it is of no use by itself. Start one
on each machine or GPU that should sample, and name their URLs in `servers`. Without a GPU, weights come from a file:
run it on the trainer's machine, or set TMPDIR to a folder that both see. It trusts whoever reaches it: keep it off open
networks.
"""

import argparse
import os
import sys

from rlvr.commands._arguments import at_least


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a model's or adapter's folder, or a hub id as owner/name")
    parser.add_argument("--port", type=at_least(1), default=8000, help="(default 8000)")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1: this machine alone)"
    )
    parser.add_argument(
        "--max-length",
        type=at_least(1),
        help="prompt and completion together (default: the model's context, without a GPU at most 4096)",
    )
    parser.add_argument("--max-rows", type=at_least(1), default=256, help="completions under way at once (default 256)")
    parser.add_argument("--gpu-memory-share", type=float, default=0.9, help="of the card, on a GPU (default 0.9)")
    parser.add_argument("--trust-remote-code", action="store_true", help="let code that comes with the model run")


def run(args: argparse.Namespace) -> int:
    from rlvr.engine.vllm_serving import server_command, server_environment
    from rlvr.installed import require_vllm

    require_vllm()
    command = server_command(args)
    print(f'rlvr: vLLM takes up to a minute; then name it: servers = ["http://{args.host}:{args.port}"]', flush=True)
    os.execve(sys.executable, [sys.executable, *command], {**os.environ, **server_environment()})
