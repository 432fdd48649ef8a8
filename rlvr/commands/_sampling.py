"""The options of a command that samples: how completions are drawn, and what draws them."""

import argparse
from typing import TYPE_CHECKING

from rlvr.commands._arguments import at_least, number_from_zero

if TYPE_CHECKING:
    from rlvr.engine.samplers import SamplerSettings
    from rlvr.engine.sampling import SamplingParams


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add = parser.add_argument
    add("--temperature", type=number_from_zero, default=1.0, help="0 is greedy (default 1)")
    add("--max-new-tokens", type=at_least(1), default=256, help="of one completion (default 256)")
    add("--max-turns", type=at_least(1), help="of one episode, where the environment allows more")
    add("--min-new-tokens", type=at_least(0), default=0, help="before one may end (default 0)")
    add("--stop", action="append", default=[], metavar="TEXT", help="ends a completion; may be given again")
    add("--top-p", type=_share, default=1.0, help="keep the likeliest tokens with this mass (default 1: all)")
    add("--top-k", type=at_least(0), default=0, help="keep so many of the likeliest tokens (default 0: all)")
    add("--min-p", type=_share, default=0.0, help="keep tokens with this share of the likeliest's (default 0: all)")
    add(
        "--record-alternatives",
        type=at_least(0),
        default=0,
        metavar="K",
        help="likeliest others kept in --traces",
    )
    add("--sampler", choices=("torch", "vllm", "vllm-server", "auto"), default="torch", help="(default torch)")
    add("--server", action="append", default=[], metavar="URL", help="of vllm-server: what rlvr serve started")


def sampling_params(args: argparse.Namespace) -> "SamplingParams":
    """How completions are drawn.

    Raises:
        UserError: The fewest tokens are above the most, or more alternatives are asked for than are recorded.
    """
    from rlvr.engine.sampling import MOST_ALTERNATIVES, SamplingParams
    from rlvr_rewards.errors import UserError

    if args.min_new_tokens > args.max_new_tokens:
        raise UserError(f"--min-new-tokens {args.min_new_tokens} is above --max-new-tokens {args.max_new_tokens}")
    if args.record_alternatives > MOST_ALTERNATIVES:
        raise UserError(f"--record-alternatives {args.record_alternatives} is above {MOST_ALTERNATIVES}")
    return SamplingParams(
        max_new_tokens=args.max_new_tokens,
        temperature=args.temperature,
        top_p=args.top_p,
        top_k=args.top_k,
        min_p=args.min_p,
        min_new_tokens=args.min_new_tokens,
        stop=tuple(args.stop),
        alternatives=args.record_alternatives,
        max_turns=args.max_turns,
    )


def sampler_settings(args: argparse.Namespace) -> "SamplerSettings":
    """What draws them.

    Raises:
        UserError: This machine does not have it, or its servers are missing or odd.
    """
    from rlvr.engine.samplers import SamplerSettings
    from rlvr.pipeline.sampling import check_sampler

    check_sampler("--sampler", args.sampler, tuple(args.server))
    return SamplerSettings(args.sampler, tuple(args.server))


def _share(text: str) -> float:
    value = number_from_zero(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 1")
    return value
