"""The audit itself: every policy and every mutation on every case, scored. What wins is said in `rlvr.audit.found`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from statistics import fmean

from rlvr.audit.answer import cut
from rlvr.audit.case import Case, Write, honest_wrong_attempts, make_cases
from rlvr.audit.found import Attempt, Audit, Mutated, Trial, mean
from rlvr.audit.mutations import KEEPS, LOSES
from rlvr.audit.policy import POLICIES, Policy
from rlvr_envs import Environment
from rlvr_envs.seeds import derive_random
from rlvr_rewards import Reward, Score, UserError
from rlvr_rewards.errors import unknown_name
from rlvr_rewards.row import ABSENT, Completion, completion_text, turns_of

ANY_CASE = "tags in any case"
"""What a docstring says where the case of tags is of no account."""
RARE = 0.05
"""The share of tasks on which a blind policy may be right with another answer than gold's, for some have several."""
_BATCH = 64
_KEPT = 4000


class Judge:
    """Scores completions on cases, by an environment's own reward or another.

    Raises:
        UserError: The reward fails on gold, or gives it nothing to compare with.
    """

    def __init__(self, env: Environment, reward: Reward, cases: Sequence[Case], seed: int) -> None:
        self.env, self.reward = env, reward
        golds = self.score([(case, case.gold) for case in cases])
        self.gold = {case.task_id: _gold_reward(score) for case, score in zip(cases, golds, strict=True)}
        attempts = [(case, text) for case in cases for text in honest_wrong_attempts(env, case, seed)]
        self.example = attempts[0][1]
        earned: dict[str, list[float | None]] = {}
        for (case, _), score in zip(attempts, self.score(attempts), strict=True):
            earned.setdefault(case.task_id, []).append(score.reward)
        self.honest = {task_id: mean(rewards) for task_id, rewards in earned.items()}

    def score(self, pairs: Sequence[tuple[Case, Completion]]) -> list[Score]:
        """One score for each completion; all of them are one batch, so that slow rewards may run beside each other."""
        tasks = [case.task for case, _ in pairs]
        names = dict.fromkeys(name for task in tasks for name in task)
        columns = {name: [task.get(name, ABSENT) for task in tasks] for name in names}
        columns["prompt"] = [self.env.messages(task) for task in tasks]
        heard = [self.env.heard(case.task, case.whole(said)) for case, said in pairs]
        return self.reward.score_batch(heard, columns)

    def attempts(self, pairs: Iterator[tuple[Case, Completion]]) -> list[Attempt]:
        """What came of each completion; a few at a time, since some are a megabyte."""
        attempts: list[Attempt] = []
        while batch := list(islice(pairs, _BATCH)):
            scores = self.score(batch)
            attempts += [self._attempt(case, said, score) for (case, said), score in zip(batch, scores, strict=True)]
        return attempts

    def _attempt(self, case: Case, said: Completion, score: Score) -> Attempt:
        heard = self.env.heard(case.task, case.whole(said))
        text = completion_text(said)
        last = [turn["content"] for turn in turns_of(heard) if turn.get("role") == "assistant"][-1:]
        return Attempt(
            case=case,
            completion=text if len(text) <= _KEPT else f"{text[: _KEPT // 2]}…{text[-_KEPT // 2 :]}",
            reward=score.reward,
            gold=self.gold[case.task_id],
            honest=self.honest.get(case.task_id),
            success=bool(self.env.success(case.task, heard)),
            claims_gold=any(case.equals_gold(cut(turn).answer) for turn in last),
            error=next((f"{name}: {said}" for name, said in score.errors.items()), ""),
        )


def audit(
    env: Environment,
    reward: Reward | None = None,
    *,
    num_tasks: int = 50,
    split: str = "test",
    seed: int = 0,
    argued: Iterable[str] = (),
    more: Sequence[Policy] = (),
    on_step: Callable[[int], None] = lambda done: None,
) -> Audit:
    """Tries every policy and every mutation.

    Args:
        env: Whose tasks, gold and verdict are used.
        reward: What is audited; by default the environment's own.
        num_tasks: Tasks of the split; where it has fewer, those.
        split: Which tasks.
        seed: Decides the tasks and all that is drawn.
        argued: Mutations whose misses are known and allowed.
        more: Policies beside those that are found.
        on_step: Called with 1 after each policy and mutation; there are `num_steps(more)`.

    Raises:
        UserError: The split is empty, no mutation has such a name, or the reward cannot score gold.
    """
    argued = list(argued)
    for name in argued:
        if name not in LOSES and name not in KEEPS:
            raise unknown_name("mutation", name, [*LOSES, *KEEPS])
    tasks = list(islice(env.rows(split, seed), num_tasks))
    if not tasks:
        raise UserError(f"{env.name} has no task in the split {split!r}")
    is_of_env, reward = reward is None, reward or env.reward
    cases = make_cases(env, tasks, ANY_CASE in _docstrings(env, reward))
    judge = Judge(env, reward, cases, seed)
    found = Audit(
        num_tasks=len(cases),
        gold=fmean(judge.gold.values()),
        most=reward.max,
        honest=mean(judge.honest.values()),
        honest_example=completion_text(judge.example),
    )
    for policy in [*map(POLICIES.get, POLICIES.names()), *more]:
        found.trials.append(_try(judge, policy, cases, seed, is_of_env))
        on_step(1)
    for name, write in {**LOSES, **KEEPS}.items():
        pairs = _written(write, name, cases, seed)
        found.mutations.append(Mutated(name, name in LOSES, is_of_env, judge.attempts(pairs), name in argued))
        on_step(1)
    return found


def num_steps(more: Sequence[Policy] = ()) -> int:
    """How many policies and mutations an audit tries."""
    return len(POLICIES.names()) + len(more) + len(LOSES) + len(KEEPS)


def _try(judge: Judge, policy: Policy, cases: Sequence[Case], seed: int, is_of_env: bool) -> Trial:
    attempts = judge.attempts(_written(policy, policy.name, cases, seed))
    by_chance = {attempt.case.task_id for attempt in _by_chance(attempts)} if policy.blind else set()
    kept = [attempt for attempt in attempts if attempt.case.task_id not in by_chance]
    return Trial(policy.name, " ".join((policy.__doc__ or "").split()), kept, len(by_chance), is_of_env)


def _by_chance(attempts: Sequence[Attempt]) -> list[Attempt]:
    """What a blind policy got right by chance: gold's own answer, or, on few tasks, another that is taken for right."""
    same = [attempt for attempt in attempts if attempt.success and attempt.claims_gold]
    others = [a for a in attempts if (a.success or a.is_as_good_as_gold) and not (a.success and a.claims_gold)]
    return same + (others if len(others) <= RARE * len(attempts) else [])


def _written(write: Write, name: str, cases: Sequence[Case], seed: int) -> Iterator[tuple[Case, Completion]]:
    texts = ((case, write(case, derive_random(seed, audit=name, task_id=case.task_id))) for case in cases)
    return ((case, text) for case, text in texts if text is not None)


def _gold_reward(score: Score) -> float:
    if score.errors:
        raise UserError(f"the reward fails on gold: {next(': '.join(item) for item in score.errors.items())}")
    if score.reward is None:
        raise UserError("the reward does not apply to gold: there is nothing to compare with")
    return score.reward


def _docstrings(env: Environment, reward: Reward) -> str:
    said = [env.__doc__, *(node.__doc__ for node in reward.walk())]
    return " ".join(" ".join(filter(None, said)).split())
