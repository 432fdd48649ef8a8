"""Preferences from sampled groups: of each one completion that earned more, and one of its length that earned less.

Best against worst alone teaches length as well as worth where the two go together: a policy then learns to write more
(Singhal et al. 2023, arXiv 2310.03716; Park et al. 2024, arXiv 2403.19159). So the two of a pair must be of about one
length, and pairs are dropped until the chosen are on average as long as the rejected.

Not here: sampling and scoring.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from rlvr_envs import Message


@dataclass(frozen=True)
class Candidate:
    """One completion of a group.

    Attributes:
        text: What was written.
        reward: `None` where a part of it failed or none applied.
        tokens: How long it is.
        finished: Whether the model ended its turn itself.
    """

    text: str
    reward: float | None
    tokens: int
    finished: bool = True


@dataclass(frozen=True)
class Group:
    """The completions of one prompt."""

    task_id: str
    prompt: Sequence[Message]
    candidates: Sequence[Candidate]


@dataclass(frozen=True)
class Pair:
    """Two completions of one prompt, the first of which earned more."""

    task_id: str
    prompt: Sequence[Message]
    chosen: Candidate
    rejected: Candidate

    @property
    def longer(self) -> int:
        """Tokens that the chosen has more than the rejected; negative where it has fewer."""
        return self.chosen.tokens - self.rejected.tokens

    @property
    def margin(self) -> float:
        """What the chosen earned more."""
        return (self.chosen.reward or 0.0) - (self.rejected.reward or 0.0)


@dataclass(frozen=True)
class Pairing:
    """The pairs of some groups, and why others gave none.

    Attributes:
        pairs: In the order of their groups.
        dropped: Groups without a pair, by why.
    """

    pairs: list[Pair]
    dropped: Counter[str]

    def numbers(self) -> dict[str, float]:
        """Counts and means for the manifest."""
        found = {
            "pairs": float(len(self.pairs)),
            **{f"dropped/{why}": float(n) for why, n in sorted(self.dropped.items())},
        }
        if self.pairs:
            found["reward_margin"] = sum(pair.margin for pair in self.pairs) / len(self.pairs)
            found["chosen_longer_tokens"] = sum(pair.longer for pair in self.pairs) / len(self.pairs)
        return found


def pairs_of(groups: Iterable[Group], margin: float, length_gap: float | None) -> Pairing:
    """At most one pair a group: the widest margin of those allowed, then the closest lengths.

    Args:
        groups: Completions without a reward, and those cut short, are passed over.
        margin: What the chosen must earn more, at least; 0: anything more.
        length_gap: How much longer than the other one of a pair may be, as a share of the longer; `None`: any length,
            and nothing is dropped to even out the lengths.
    """
    pairs, dropped = [], Counter[str]()
    for group in groups:
        found = _best_pair(group, margin, length_gap)
        if isinstance(found, Pair):
            pairs.append(found)
        else:
            dropped[found] += 1
    if length_gap is not None:
        kept = _even(pairs)
        dropped["uneven_lengths"] += len(pairs) - len(kept)
        pairs = kept
    return Pairing(pairs, +dropped)


def _best_pair(group: Group, margin: float, length_gap: float | None) -> Pair | str:
    """The pair of a group, or why there is none."""
    usable = [each for each in group.candidates if each.reward is not None and each.finished and each.text.strip()]
    if len(usable) < 2:
        return "unusable"
    all_pairs = (Pair(group.task_id, group.prompt, a, b) for a, b in product(usable, usable))
    apart = [pair for pair in all_pairs if pair.margin > 0 and pair.margin >= margin]
    if not apart:
        return "no_margin"
    matched = [pair for pair in apart if length_gap is None or abs(pair.longer) <= length_gap * _longest(pair)]
    if not matched:
        return "no_length_match"
    return max(matched, key=lambda pair: (pair.margin, -abs(pair.longer)))


def _longest(pair: Pair) -> int:
    return max(pair.chosen.tokens, pair.rejected.tokens)


def _even(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs without the most uneven ones, so that chosen and rejected differ by at most a token on average."""
    order = sorted(range(len(pairs)), key=lambda number: pairs[number].longer)
    first, last = 0, len(pairs)  # what stays of the order, from those whose chosen is shortest to the longest
    surplus = sum(pair.longer for pair in pairs)
    while abs(surplus) > last - first:
        if surplus > 0:
            last -= 1
            surplus -= pairs[order[last]].longer
        else:
            surplus -= pairs[order[first]].longer
            first += 1
    return [pairs[number] for number in sorted(order[first:last])]
