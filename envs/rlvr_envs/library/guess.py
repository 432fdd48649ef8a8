"""`guess`: find a whole number in few guesses; after each one is told whether it is higher or lower. Several turns.

Who halves what is left always finds it; who does not listen hardly ever does. A turn is one guess: of several numbers
in one turn none counts, and what a turn claims to have been told is the model's own invention.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from rlvr_envs.environment import Baseline, GeneratedEnvironment, Message, Task
from rlvr_rewards import UserError, reward
from rlvr_rewards.extract import sole_tagged
from rlvr_rewards.numerals import read_number
from rlvr_rewards.row import Completion

HIGHER, LOWER = "higher", "lower"
UNREADABLE = "write one whole number of the range between <guess> and </guess>"


def _guess(text: str, high: int) -> int | None:
    """The one number that a turn guesses; `None` where there is none from 1 to `high`."""
    found = sole_tagged(text, "guess")
    number = None if found is None else read_number(found)
    return int(number) if number is not None and number.denominator == 1 and 1 <= number <= high else None


def _guesses(turns: Sequence[Message], high: int) -> list[int | None]:
    return [_guess(turn["content"], high) for turn in turns if turn.get("role", "assistant") == "assistant"]


@reward
def number_found(turns: Sequence[Message], number: int, high: int) -> float:
    """1.0 where a turn guesses the number.

    >>> number_found([{"role": "assistant", "content": "<guess>7</guess>"}], number=7, high=20)
    1.0

    Naming many numbers in one turn guesses none of them.

    >>> number_found([{"role": "assistant", "content": "<guess>7</guess><guess>8</guess>"}], number=7, high=20)
    0.0
    """
    return float(number in _guesses(turns, high))


@reward
def legal_guesses(turns: Sequence[Message], high: int) -> float:
    """The share of turns that guess one whole number of the range."""
    guesses = _guesses(turns, high)
    return sum(guess is not None for guess in guesses) / len(guesses) if guesses else 0.0


@dataclass(frozen=True)
class Guess(GeneratedEnvironment):
    """A number from 1 to at most `largest`, to be found in at most `guesses` turns."""

    name = "guess"
    columns = ("high", "number")
    metrics = ("listened",)
    reward = number_found.named("found") + 0.1 * legal_guesses.named("legal")

    largest: int = 100
    guesses: int = 7

    def __post_init__(self) -> None:
        if self.largest < 2 or self.guesses < 1:
            raise UserError("guess: largest must be at least 2, and guesses at least 1")
        if 2**self.guesses <= self.largest:
            needed = self.largest.bit_length()
            raise UserError(f"guess: {self.guesses} guesses cannot find every number to {self.largest}: give {needed}")

    @property
    def max_turns(self) -> int:
        return self.guesses

    def draw(self, random: Random) -> Task:
        high = random.randint((self.largest + 1) // 2, self.largest)
        return {"high": high, "number": random.randint(1, high)}

    def messages(self, task: Task) -> list[Message]:
        ask = (
            f"I think of a whole number from 1 to {task['high']}. Find it in at most {self.guesses} turns: write one "
            f"guess between <guess> and </guess>, and I say {HIGHER} or {LOWER}."
        )
        return [{"role": "user", "content": ask}]

    def reply(self, task: Task, turns: Sequence[Message]) -> Message | None:
        """Where the number lies from the last guess; `None` where it was found, or no guess is left."""
        guesses = _guesses(turns, task["high"])
        if guesses[-1] == task["number"] or len(guesses) >= self.guesses:
            return None
        guess = guesses[-1]
        said = UNREADABLE if guess is None else HIGHER if task["number"] > guess else LOWER
        return {"role": "user", "content": said}

    def gold(self, task: Task) -> list[Message]:
        """Halving what is left."""
        return self.episode(task, [f"<guess>{guess}</guess>" for guess in _halving(task)])

    def success(self, task: Task, completion: Any) -> bool:
        return task["number"] in _guesses(completion, task["high"])

    def info(self, task: Task, completion: Any) -> dict[str, Any]:
        """`listened`: the share of guesses that what was told before leaves open; `turns`: how many there were."""
        guesses = _guesses(completion, task["high"])
        low, high, open_ones = 1, task["high"], 0
        for guess in guesses:
            if guess is None or not low <= guess <= high:
                continue
            open_ones += 1
            low, high = (guess + 1, high) if task["number"] > guess else (low, guess - 1)
        return {"listened": open_ones / len(guesses) if guesses else 0.0, "turns": len(guesses)}

    def difficulty(self, task: Task) -> float:
        """The turns that halving takes, over those there are."""
        return len(_halving(task)) / self.guesses

    def baselines(self) -> dict[str, Baseline]:
        return {"random": self._without_listening, "listening": self._listening}

    def check(self, task: Any) -> None:
        """Refuses a row without a column, or whose number is not one of the range."""
        super().check(task)
        high, number = task["high"], task["number"]
        if type(high) is not int or type(number) is not int or not 1 <= number <= high:
            raise UserError(f"number: a whole number from 1 to high is needed, not {number!r:.80} of {high!r:.80}")

    def _without_listening(self, task: Task, random: Random) -> Completion:
        """Other numbers of the range, in any order."""
        numbers = random.sample(range(1, task["high"] + 1), min(self.guesses, task["high"]))
        return self.episode(task, [f"<guess>{number}</guess>" for number in numbers])

    def _listening(self, task: Task, random: Random) -> Completion:
        """Any number that is still open."""
        low, high, said = 1, task["high"], []
        while not said or said[-1] != task["number"]:
            said.append(random.randint(low, high))
            low, high = (said[-1] + 1, high) if task["number"] > said[-1] else (low, said[-1] - 1)
        return self.episode(task, [f"<guess>{number}</guess>" for number in said])


def _halving(task: Task) -> list[int]:
    low, high, guesses = 1, task["high"], []
    while not guesses or guesses[-1] != task["number"]:
        guesses.append((low + high) // 2)
        low, high = (guesses[-1] + 1, high) if task["number"] > guesses[-1] else (low, guesses[-1] - 1)
    return guesses
