"""The length of a completion in tokens: bounds, DAPO's soft punishment, the cosine schedule, budgets of a prompt.

Tokens are the model's own wherever it wrote them: training, evaluation and TRL hand `num_tokens` over. Where no model
counted (gold, `rlvr audit`, a line of `rlvr score` without `num_tokens`) pieces of the text stand for them
(`rlvr_rewards.pieces`: words, digits, marks): near to the tokens of most models, and never the same.

None of these looks at the answer: add them to one that does, or gate it by them.
"""

from math import cos, pi

from rlvr_rewards.errors import UserError
from rlvr_rewards.examples import Example
from rlvr_rewards.functions import penalty, reward
from rlvr_rewards.pieces import num_tokens_of

EXAMPLES = {
    "cosine_length": Example(""),
    "budget_left": Example("<answer>7</answer>", {"token_budget": 2000}),
    "budget_missed": Example("<answer>7</answer>", {"token_budget": 8}),
}


@reward
def tokens_within(completion: str, num_tokens: int | None = None, *, least: int = 1, most: int = 1024) -> float:
    """1.0 where the completion has from `least` to `most` tokens, both included.

    >>> tokens_within("<answer>7</answer>", num_tokens=1024), tokens_within("<answer>7</answer>", num_tokens=1025)
    (1.0, 0.0)

    A hack: padding has tokens too, so that a least length can be filled with anything. Keep `least` low.

    >>> tokens_within("so " * 200, least=200)
    1.0
    """
    if not 0 <= least <= most:
        raise UserError(f"least={least} and most={most} leave no length: write 0 <= least <= most")
    return float(least <= num_tokens_of(completion, num_tokens) <= most)


@penalty
def soft_overlong_punishment(
    completion: str, num_tokens: int | None = None, *, max_completion_len: int = 1024, soft_punish_cache: int = 256
) -> float:
    r"""0 for a completion that leaves the last tokens of its room free; then down in a line to -1 at the room's end.

    With L = `num_tokens`, M = `max_completion_len` and c = `soft_punish_cache` (tokens), DAPO's equation 13:

        R(L) = 0                  where L <= M - c
               ((M - c) - L) / c  where M - c < L <= M
               -1                 where L > M

    >>> [soft_overlong_punishment("…", num_tokens=n) for n in (768, 896, 1024, 5000)]
    [0.0, -0.5, -1.0, -1.0]

    Set `max_completion_len` to the stage's `max_new_tokens`: no completion can be longer, and one that was cut there
    has earned -1. A hack: the shortest completion is never punished, so that this must not be all that is earned.

    >>> soft_overlong_punishment("", num_tokens=0)
    0.0

    Source: Yu et al., DAPO, arXiv 2503.14476, equation 13; the settings are called as in `trl.rewards`.
    """
    if not 0 <= soft_punish_cache <= max_completion_len:
        raise UserError(
            f"soft_punish_cache={soft_punish_cache} must lie between 0 and max_completion_len={max_completion_len}"
        )
    over = num_tokens_of(completion, num_tokens) - (max_completion_len - soft_punish_cache)
    if over <= 0:
        return 0.0
    return -1.0 if over >= soft_punish_cache else -over / soft_punish_cache


@reward
def cosine_length(
    completion: str,
    num_tokens: int | None = None,
    *,
    max_len: int = 1024,
    shortest: float = 1.0,
    longest: float = 0.5,
) -> float:
    r"""From `shortest` at no tokens along half a cosine to `longest` at `max_len` and beyond; both lie in [0, 1].

    With L = `num_tokens` and M = `max_len`:

        R(L) = longest + (shortest - longest) * (1 + cos(pi * min(L, M) / M)) / 2

    >>> [cosine_length("…", num_tokens=n) for n in (0, 512, 1024, 9999)]
    [1.0, 0.75, 0.5, 0.5]

    As a gate it makes the shorter of two right completions earn more: `correct & cosine_length`. The schedule of the
    paper, in which the longer of two wrong ones also loses less (to keep the model trying), is the sum

        2.0*(correct & cosine_length) - cosine_length

    from 1 to 0.5 where right and from -1 to -0.5 where wrong: the defaults of `trl.rewards.get_cosine_scaled_reward`.
    Another steepness for wrong ones is another part, `cosine_length(longest=0.9).named('patience')`.

    A hack: in that sum a wrong completion gains by being padded up to `max_len`: the price of the schedule, which the
    paper pays with a penalty on repetition beside it. Alone, the empty completion earns the most.

    >>> cosine_length("", num_tokens=0), cosine_length("", num_tokens=0, shortest=0.0)
    (1.0, 0.0)

    Source: Yeo et al., Demystifying Long Chain-of-Thought Reasoning, arXiv 2502.03373, appendix C.1.
    """
    if max_len <= 0 or not (0 <= shortest <= 1 and 0 <= longest <= 1):
        raise UserError(f"max_len={max_len} must be above 0, shortest={shortest} and longest={longest} within [0, 1]")
    share = min(num_tokens_of(completion, num_tokens) / max_len, 1.0)
    return longest + (shortest - longest) * (1.0 + cos(pi * share)) / 2.0


@penalty
def budget_missed(
    completion: str,
    num_tokens: int | None = None,
    token_budget: int | None = None,
    *,
    default_budget: int = 1024,
    alpha: float = 0.0003,
) -> float:
    r"""0 for a completion of exactly the tokens that were asked for, less by `alpha` for each one off, down to -1.

    With L = `num_tokens` and B the column `token_budget` (where the row has none, `default_budget`):

        R(L) = max(-1, -alpha * |B - L|)

    LCPO-Exact is `correct + budget_missed`, the prompt saying how many tokens to think for.

    >>> [budget_missed("…", num_tokens=n, token_budget=1000) for n in (1000, 2000, 500, 9000)]
    [0.0, -0.3, -0.15, -1.0]

    A hack: filler up to the budget is not punished.

    >>> budget_missed("so " * 1024)
    0.0

    Source: Aggarwal and Welleck, L1, arXiv 2503.04697, equation 1. Held at -1, which the default `alpha` reaches
    where 3,334 tokens are missing or too many.
    """
    off = abs(_budget(token_budget, default_budget) - num_tokens_of(completion, num_tokens))
    return max(-1.0, 0.0 - _checked_alpha(alpha) * off)


@reward
def budget_left(
    completion: str,
    num_tokens: int | None = None,
    token_budget: int | None = None,
    *,
    default_budget: int = 1024,
    alpha: float = 0.0003,
    delta: float = 0.5,
) -> float:
    r"""`delta` for a completion of exactly its budget, more by `alpha` for each token under it, less for each above.

    With L = `num_tokens` and B the column `token_budget` (where the row has none, `default_budget`):

        R(L) = min(1, max(0, alpha * (B - L) + delta))

    LCPO-Max is `correct & budget_left`: the budget is a bound, and going a little over it costs a little.

    >>> [budget_left("…", num_tokens=n, token_budget=2000) for n in (2000, 1000, 3000, 0, 9000)]
    [0.5, 0.8, 0.2, 1.0, 0.0]

    A hack: saying nothing leaves the most of a budget, so that it must gate a part that looks at the answer.

    >>> budget_left("", num_tokens=0, token_budget=4000)
    1.0

    Source: Aggarwal and Welleck, L1, arXiv 2503.04697, equation 2.
    """
    left = _budget(token_budget, default_budget) - num_tokens_of(completion, num_tokens)
    return min(1.0, max(0.0, _checked_alpha(alpha) * left + delta))


def _budget(token_budget: int | None, default_budget: int) -> int:
    budget = default_budget if token_budget is None else token_budget
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < 0:
        raise ValueError(f"the token budget {budget!r} is not a number of tokens: write 0 or more")
    return budget


def _checked_alpha(alpha: float) -> float:
    if not alpha >= 0:
        raise UserError(f"alpha={alpha} must not be negative")
    return alpha
