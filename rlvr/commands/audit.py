"""Try to earn an environment's reward without solving its tasks: degenerate policies, and mutations of gold.

No model is asked. Every policy must earn less than gold, and no more than an honest wrong attempt in the right form; a
wrong answer that differs from gold in one thing must lose, the right one written otherwise must not. Exits with 1 where
an exploit wins or a wrong answer is paid as gold is, with 0 where none does. docs/audit.md says more.
"""

import argparse
import contextlib

from rlvr.commands._arguments import at_least


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--env", required=True, help='NAME, "NAME?option=value" or FILE.py:NAME')
    parser.add_argument(
        "--reward",
        help="FILE.py:NAME, or an expression that may name the environment's parts; audited in place of its own",
    )
    parser.add_argument("--n", type=at_least(1), default=50, help="tasks to try each on (default 50)")
    parser.add_argument("--split", default="test", help="which split (default test)")
    parser.add_argument("--seed", type=int, default=0, help="decides which tasks, and what is drawn (default 0)")
    parser.add_argument(
        "--policy", action="append", default=[], metavar="FILE.py:NAME", help="a policy of your own; may be repeated"
    )
    parser.add_argument(
        "--argued",
        action="append",
        default=[],
        metavar="MUTATION",
        help="a mutation whose misses you have an argument for: listed, and not counted; may be repeated",
    )
    parser.add_argument("--json", metavar="OUT", help="write all that was found as JSON; - is the standard output")
    parser.add_argument("--force", action="store_true", help="replace OUT where it exists")


def run(args: argparse.Namespace) -> int:
    import json

    from rlvr.audit.policy import POLICIES
    from rlvr.audit.report import as_json, show
    from rlvr.audit.trial import audit, num_steps
    from rlvr.console import console
    from rlvr.progress import progress_bar
    from rlvr.replacing import replacing
    from rlvr_envs import make
    from rlvr_envs.faults import faults_named
    from rlvr_rewards import parse_reward

    environment = make(args.env)
    reward = parse_reward(args.reward, environment.part) if args.reward else None
    more = [POLICIES.get(name) for name in args.policy]
    err = console(stderr=True)
    with replacing(args.json, args.force) if args.json else contextlib.nullcontext() as out:
        with faults_named(environment), progress_bar(err, "auditing", num_steps(more)) as advance:
            found = audit(
                environment,
                reward,
                num_tasks=args.n,
                split=args.split,
                seed=args.seed,
                argued=args.argued,
                more=more,
                on_step=advance,
            )
        title = f"{args.env}, reward {args.reward}" if args.reward else args.env
        show(err if args.json == "-" else console(), found, title)
        if out:
            asked = {"env": args.env, "reward": args.reward, "split": args.split, "seed": args.seed}
            out.write((json.dumps({**asked, **as_json(found)}, indent=1) + "\n").encode())
    return int(bool(found.wins))
