"""A judge: questions to an endpoint, through the cache and on the ledger, and an account of what all judges did.

A judge is made once for its settings and then shared by all threads of the process.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from json import dumps
from pathlib import Path
from typing import Any

from rlvr_rewards.errors import UserError
from rlvr_rewards.judge.cache import OFF, Cache, default_path
from rlvr_rewards.judge.endpoint import Endpoint
from rlvr_rewards.judge.errors import JudgeError
from rlvr_rewards.judge.ledger import Ledger
from rlvr_rewards.judge.question import FIRST, SECOND, TIE, Question, by_comparison
from rlvr_rewards.judge.verdict import read_verdict, reply_schema

_READS = 3
"""How often a question is asked whose reply holds no verdict, each time under another seed."""


@dataclass(frozen=True)
class JudgeSettings:
    """Everything that one judge differs from another by; see `rlvr_rewards.library.judge` for what each means."""

    url: str
    model: str = ""
    key_env: str = "OPENAI_API_KEY"
    timeout_s: float = 60.0
    concurrency: int = 16
    reply_tokens: int = 1024
    cache: str = ""
    budget_calls: int = 0
    budget_tokens: int = 0
    price_in: float = 0.0
    price_out: float = 0.0


@dataclass(frozen=True)
class Judgment:
    """What a judge was found to say, and what that took.

    Attributes:
        verdict: In the form that the question asked for; of a pair 1.0 where the first one is better in both orders,
            0.0 where the second one is, else 0.5.
        tokens_in, tokens_out: Paid for it now; 0 where the cache knew it.
        cached: The share of its questions that the cache answered.
        consistent: Of a pair: whether the two orders agreed.
    """

    verdict: Any
    tokens_in: int = 0
    tokens_out: int = 0
    cached: float = 0.0
    consistent: bool | None = None


class Judge:
    """Asks, and reads what comes back.

    Args:
        settings: Where it is, and what it may cost.

    Raises:
        UserError: The address is none, a number is out of range, or the cache cannot be used.
    """

    def __init__(self, settings: JudgeSettings) -> None:
        s = self.settings = settings
        if min(s.budget_calls, s.budget_tokens, s.price_in, s.price_out) < 0:
            raise UserError("a judge's budget and prices are at least 0 (a budget of 0: none)")
        self.endpoint = Endpoint(s.url, s.model, s.key_env, s.timeout_s, s.concurrency, s.reply_tokens)
        self.cache = Cache(None if s.cache == OFF else Path(s.cache).expanduser() if s.cache else default_path())
        self.ledger = Ledger(s.budget_calls, s.budget_tokens, s.price_in, s.price_out)
        self._lock, self._under_way = threading.Lock(), dict[str, threading.Lock]()

    def verdict(self, question: Question) -> Judgment:
        """The verdict on a question, from the cache where it was asked before.

        Raises:
            JudgeError: There is none; the message says why.
        """
        key = self._key(question)
        with self._alone(key):
            if reply := self.cache.get(key):
                verdict = read_verdict(reply.text, question.form)
                if verdict is not None:
                    self.ledger.note(cached=1)
                    return Judgment(verdict, cached=1.0)
            return self._asked(question, key)

    def compare(self, task: str, one: str, other: str, rubric: str, explained: bool) -> Judgment:
        """Which of two completions is better, asked in both orders; raises as `verdict` does."""
        there = self.verdict(by_comparison(task, one, other, rubric, explained))
        back = self.verdict(by_comparison(task, other, one, rubric, explained))
        consistent = there.verdict == {FIRST: SECOND, SECOND: FIRST, TIE: TIE}[back.verdict]
        self.ledger.note(pairs=1, consistent=int(consistent))
        return Judgment(
            {FIRST: 1.0, SECOND: 0.0, TIE: 0.5}[there.verdict] if consistent else 0.5,
            there.tokens_in + back.tokens_in,
            there.tokens_out + back.tokens_out,
            (there.cached + back.cached) / 2,
            consistent,
        )

    def metrics(self, judgment: Judgment) -> dict[str, float]:
        """The numbers of a judgment by name: what it took, and of a pair whether the orders agreed."""
        s = self.settings
        cost = (judgment.tokens_in * s.price_in + judgment.tokens_out * s.price_out) / 1e6
        found = {"tokens": float(judgment.tokens_in + judgment.tokens_out), "cached": judgment.cached, "cost": cost}
        return found if judgment.consistent is None else found | {"consistency": float(judgment.consistent)}

    def _asked(self, question: Question, key: str) -> Judgment:
        schema, ledger = reply_schema(question.form, question.explained), self.ledger
        tokens_in = tokens_out = 0
        said = ""
        for seed in range(_READS):
            reply = self.endpoint.ask(question.messages, schema, seed, ledger.reserve, ledger.release)
            ledger.pay(reply)
            tokens_in, tokens_out, said = tokens_in + reply.tokens_in, tokens_out + reply.tokens_out, reply.text
            verdict = read_verdict(said, question.form)
            if verdict is not None:
                self.cache.put(key, reply)
                return Judgment(verdict, tokens_in, tokens_out)
            ledger.note(unread=1)
        raise JudgeError(f"no verdict in {_READS} replies of {self.endpoint.model}, the last ends: {said[-100:]!r}")

    def _key(self, question: Question) -> str:
        """32 hexadecimal digits for all that is asked, and of whom; the form of the reply is the server's choice."""
        asked = [self.endpoint.url, self.endpoint.name(), self.settings.reply_tokens, question.messages(False)]
        return blake2b(dumps(asked).encode(), digest_size=16).hexdigest()

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """Held while a question is asked: the same one of another thread then finds the reply in the cache."""
        if self.cache.path is None:
            yield
            return
        with self._lock:
            lock = self._under_way.setdefault(key, threading.Lock())
        try:
            with lock:
                yield
        finally:
            with self._lock:
                self._under_way.pop(key, None)


_JUDGES: dict[JudgeSettings, Judge] = {}
_LOCK = threading.Lock()


def judge_of(settings: JudgeSettings) -> Judge:
    """The judge of some settings, one in the process, whichever thread asks first."""
    with _LOCK:
        if settings not in _JUDGES:
            _JUDGES[settings] = Judge(settings)
        return _JUDGES[settings]


def report() -> list[dict[str, Any]]:
    """What each judge of this process was asked so far: its address and model, and the numbers of its ledger."""
    judges = list(_JUDGES.values())
    return [{"url": each.endpoint.url, "model": each.endpoint.model, **each.ledger.numbers()} for each in judges]
