"""The audit as a test of one's own:

    from rlvr.audit.testing import check_audit

    def test_it_cannot_be_cheated():
        check_audit(MyEnv())

or with the fixture `audited`, which is the same function: `from rlvr.audit.fixtures import audited`.
"""

from collections.abc import Iterable, Sequence

from rlvr.audit.found import Audit
from rlvr.audit.policy import Policy
from rlvr.audit.report import excerpt
from rlvr.audit.trial import audit
from rlvr_envs import Environment
from rlvr_rewards.algebra import RewardLike, lift


def check_audit(
    env: Environment,
    reward: RewardLike | None = None,
    *,
    num_tasks: int = 20,
    split: str = "test",
    seed: int = 0,
    argued: Iterable[str] = (),
    policies: Sequence[Policy] = (),
) -> Audit:
    """Checks that no policy wins and that every mutation of gold does what it must; returns all that was found.

    >>> from rlvr_envs import make
    >>> check_audit(make("arithmetic"), num_tasks=5).wins
    []

    Args:
        env: Whose tasks, gold and verdict are used.
        reward: What is audited; by default the environment's own.
        num_tasks: Tasks of the split.
        split: Which tasks.
        seed: Decides the tasks and all that is drawn.
        argued: Mutations whose misses you have an argument for.
        policies: Your own, beside those that are found.

    Raises:
        AssertionError: An exploit wins, or a mutation missed that is not argued; each is named with an example.
        UserError: The reward fails on gold, or a mutation in `argued` does not exist.
    """
    node = None if reward is None else lift(reward)
    found = audit(env, node, num_tasks=num_tasks, split=split, seed=seed, argued=argued, more=policies)
    faults = [
        f"{trial.name} wins: {trial.win}, with {excerpt(trial.worst.completion)!r}"
        for trial in found.trials
        if trial.win and trial.worst
    ]
    for mutated in found.misses:
        if not mutated.is_argued:
            must = "lose" if mutated.must_lose else "not lose"
            faults.append(f"{mutated.name} must {must}, and did not: {excerpt(mutated.missed[0].completion)!r}")
    assert not faults, "\n".join(faults)
    return found
