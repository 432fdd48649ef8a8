"""Episodes of several turns, sampled turn by turn for a whole batch with whichever sampler.

    prompt → turn → reply → turn → reply → … → turn

A turn is drawn after all that was said before, by its tokens: those of earlier turns stay as they were sampled, and a
reply's are put behind them with the chat template's marks (`rlvr.models.chat.Replies`). Episodes that are over leave
the batch. The seed of a turn is derived from that of the completion, which is that of its first turn.

How an episode ends: `stop` where the environment ended it, `length` where the token budget was used up, `turns` where
the turns were, `error` where the environment could not reply. A budget counts all tokens after the prompt, replies too.

Not here: an environment of one turn, which goes to the sampler as it is; what the update makes of replies (their tokens
are masked, `rlvr.engine.trainer`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rlvr.engine.sampling import Completion, FinishReason, Request, Sampler, SamplingParams, Turn
from rlvr.models.chat import Replies, completion_of
from rlvr_envs import Environment, Message, Task
from rlvr_envs.seeds import derive_seed
from rlvr_rewards.errors import one_line


def sample_episodes(
    sampler: Sampler,
    requests: Sequence[Request],
    params: SamplingParams,
    env: Environment,
    tasks: Sequence[Task],
    tokenizer: Any,
) -> list[list[Completion]]:
    """A group for each request, in order, as `Sampler.sample` gives it; completions of several turns hold them.

    Args:
        sampler: Draws the turns.
        requests: The prompts, and the seeds of each one's completions.
        params: How each turn is drawn; the token budget is that of a whole episode.
        env: What replies.
        tasks: Of each request.
        tokenizer: With the chat template.

    Raises:
        UserError: The chat template takes no such reply as the environment's.
    """
    if env.max_turns == 1:
        return sampler.sample(requests, params)
    rows = [
        _Row(env, task, request.prompt_ids, seed, params)
        for request, task in zip(requests, tasks, strict=True)
        for seed in request.seeds
    ]
    replies, under_way, number = Replies(tokenizer), rows, 0
    drawn = sampler.sample(requests, params)
    while under_way:
        for row, completion in zip(under_way, _flat(drawn), strict=True):
            row.take(completion, tokenizer, replies)
        under_way = [row for row in under_way if row.finish is None]
        number += 1
        if under_way:
            drawn = sampler.sample([row.next_turn(number) for row in under_way], _for_rest(params, under_way))
    completions = iter([row.completion() for row in rows])
    return [[next(completions) for _ in request.seeds] for request in requests]


def _flat(groups: Sequence[Sequence[Completion]]) -> Iterator[Completion]:
    return (completion for group in groups for completion in group)


def _for_rest(params: SamplingParams, rows: Sequence["_Row"]) -> SamplingParams:
    """The parameters of a turn: no more tokens than the row with the most has left."""
    room = [row.room for row in rows]
    return replace(params, max_new_tokens=max(room), min_new_tokens=min(params.min_new_tokens, *room))


@dataclass
class _Row:
    """One episode under way.

    Attributes:
        recorded: What is recorded beside each token; `None` where nothing is.
        finish: How it ended; `None` while it goes on.
    """

    env: Environment
    task: Task
    prompt_ids: Sequence[int]
    seed: int
    params: SamplingParams
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float | None] = field(default_factory=list)
    entropies: list[float | None] | None = None
    alternatives: list[list[tuple[int, float]]] | None = None
    turns: list[Turn] = field(default_factory=list)
    seconds: float = 0.0
    finish: FinishReason | None = None
    error: str = ""

    @property
    def room(self) -> int:
        """Tokens that are left of its budget."""
        return self.params.max_new_tokens - len(self.token_ids)

    @property
    def max_turns(self) -> int:
        return min(self.env.max_turns, self.params.max_turns or self.env.max_turns)

    def next_turn(self, number: int) -> Request:
        """What to sample next; turns are numbered from 0."""
        return Request([*self.prompt_ids, *self.token_ids], [derive_seed(self.seed, turn=number)], self.room)

    def take(self, drawn: Completion, tokenizer: Any, replies: Replies) -> None:
        """Adds a turn, and the reply to it where there is one."""
        is_cut = len(drawn.token_ids) > self.room or drawn.finish_reason == FinishReason.LENGTH
        self._add_own(drawn, tokenizer)
        if is_cut:
            self.finish = FinishReason.LENGTH
            return
        try:
            reply = self.env.reply(self.task, [{"role": turn.role, "content": turn.content} for turn in self.turns])
        except Exception as error:  # recorded on the trace, as a reward's is
            self.finish, self.error = FinishReason.ERROR, one_line(error)
            return
        if reply is None:
            self.finish = FinishReason.STOP
            return
        self._add_reply(reply, replies.ids([reply], self.token_ids[-1] if self.token_ids else None))

    def completion(self) -> Completion:
        """The episode, once it is over."""
        assert self.finish is not None, "an episode is under way"
        record = (self.entropies, self.alternatives)
        return Completion(
            self.token_ids, self.logprobs, self.finish, self.seconds, *record, tuple(self.turns), self.error
        )

    def _add_own(self, drawn: Completion, tokenizer: Any) -> None:
        start, room = len(self.token_ids), self.room
        ids = drawn.token_ids[:room]
        self.turns.append(Turn("assistant", completion_of(tokenizer, ids), start, start + len(ids)))
        self.token_ids += ids
        self.logprobs += drawn.logprobs[:room]
        if drawn.entropies is not None:
            self.entropies = [*(self.entropies or []), *drawn.entropies[:room]]
        if drawn.alternatives is not None:
            self.alternatives = [*(self.alternatives or []), *drawn.alternatives[:room]]
        self.seconds += drawn.seconds

    def _add_reply(self, reply: Message, ids: Sequence[int]) -> None:
        """Adds a reply, and ends the episode where no turn or no token is left for an answer to it."""
        start, kept = len(self.token_ids), list(ids[: self.room])
        self.turns.append(Turn(reply["role"], reply["content"], start, start + len(kept)))
        self.token_ids += kept
        self.logprobs += [None] * len(kept)
        self.entropies = None if self.entropies is None else [*self.entropies, *[None] * len(kept)]
        self.alternatives = None if self.alternatives is None else [*self.alternatives, *[[] for _ in kept]]
        if sum(turn.is_own for turn in self.turns) >= self.max_turns:
            self.finish = FinishReason.TURNS
        elif not self.room:
            self.finish = FinishReason.LENGTH
