"""The run's reward, tried on a few golds before anything loads: one that fails on all would end the run hours later."""

from itertools import islice

from rlvr_envs import Environment
from rlvr_envs.faults import faults_named
from rlvr_rewards import Reward, Score, UserError
from rlvr_rewards.functions import FunctionReward
from rlvr_rewards.injection import FROM_TRL
from rlvr_rewards.outside import outside_of

_NUM_GOLDS = 20


def try_golds(env: Environment, reward: Reward, seed: int) -> list[str]:
    """Scores 20 golds with a reward, and warns of what is odd about it.

    Raises:
        UserError: It fails on every one; the message says how on the first.
    """
    if needs := _only_in_training(reward):
        return [f"the reward was not tried on golds: only training has {', '.join(needs)}"]
    if outside := outside_of(reward):
        return [f"the reward was not tried on golds: it rests on {', '.join(outside)}"]
    split = "train" if "train" in env.splits else env.splits[0]
    try:
        with faults_named(env):
            tasks = list(islice(env.rows(split, seed), _NUM_GOLDS))
    except UserError as error:  # data that is not on this machine yet, say
        return [f"the reward was not tried on golds: {error}"]
    with faults_named(env):
        return _warnings(reward, [env.score(task, env.gold(task), reward) for task in tasks])


def _warnings(reward: Reward, scores: list[Score]) -> list[str]:
    failed = [score for score in scores if score.errors]
    if failed:
        part, error = next(iter(failed[0].errors.items()))
        says = f"the reward fails on {len(failed)} of {len(scores)} golds; the first: {part}: {error}"
        if len(failed) == len(scores):
            raise UserError(says)
        return [says]
    earned = [score.reward for score in scores if score.reward is not None]
    if not earned:
        return ["no part of the reward applies to any gold"] if scores else []
    mean = sum(earned) / len(earned)
    if reward.max - mean > 1e-9 and reward.max != float("inf"):
        return [f"golds earn {mean:.6g} on average, and the reward can give {reward.max:.6g}: does it fit these tasks?"]
    return []


def _only_in_training(reward: Reward) -> list[str]:
    asked = {name for leaf in reward.walk() if isinstance(leaf, FunctionReward) for name in leaf.injected.required}
    return sorted(asked.intersection(FROM_TRL))
