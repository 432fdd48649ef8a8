"""What a judge was asked and what that cost, and the budget that it may not exceed.

Counted is what this process asked since it started. A call is counted before it is made, so that many threads cannot
overdraw the number of calls; tokens are known afterwards, so that those of the calls under way come on top.
"""

import threading
from dataclasses import dataclass, field

from rlvr_rewards.judge.cache import Reply
from rlvr_rewards.judge.errors import BudgetError

_MILLION = 1_000_000


@dataclass
class Ledger:
    """The account of one judge.

    Attributes:
        max_calls: Requests that may be answered; 0: as many as are asked.
        max_tokens: Of questions and replies together; 0: as many as it takes.
        price_in, price_out: What a million tokens of questions and of replies cost.
        calls: Requests that were answered, or are under way.
        cached: Questions that the cache answered.
        retries: Requests that were made again.
        unread: Replies in which no verdict could be read.
        pairs: Pairs that were judged in both orders.
        consistent: Those of them in which the orders agreed.
    """

    max_calls: int = 0
    max_tokens: int = 0
    price_in: float = 0.0
    price_out: float = 0.0
    calls: int = 0
    cached: int = 0
    retries: int = 0
    unread: int = 0
    pairs: int = 0
    consistent: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def cost(self) -> float:
        """What the answered requests cost, in the currency of the prices."""
        return (self.tokens_in * self.price_in + self.tokens_out * self.price_out) / _MILLION

    def reserve(self) -> None:
        """Counts a call that is about to be made.

        Raises:
            BudgetError: The budget has none left.
        """
        with self._lock:
            spent = self.tokens_in + self.tokens_out
            if self.max_calls and self.calls >= self.max_calls:
                raise BudgetError(f"the judge's budget of {self.max_calls} calls is spent: raise budget_calls")
            if self.max_tokens and spent >= self.max_tokens:
                raise BudgetError(f"the judge's budget of {self.max_tokens} tokens is spent: raise budget_tokens")
            self.calls += 1

    def release(self) -> None:
        """Takes a call back that was not answered."""
        with self._lock:
            self.calls -= 1
            self.retries += 1

    def pay(self, reply: Reply) -> None:
        """Counts the tokens of an answered call."""
        with self._lock:
            self.tokens_in += reply.tokens_in
            self.tokens_out += reply.tokens_out

    def note(self, **counts: int) -> None:
        """Adds to other counts, such as `cached=1`."""
        with self._lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)

    def numbers(self) -> dict[str, float]:
        """The account as numbers by name; `consistency` only once a pair was judged."""
        names = ("calls", "cached", "retries", "unread", "tokens_in", "tokens_out", "cost")
        found = {name: float(getattr(self, name)) for name in names}
        return found | ({"consistency": self.consistent / self.pairs, "pairs": float(self.pairs)} if self.pairs else {})
