"""A model behind an OpenAI-compatible server that answers tasks."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from rlvr.engine.sampling import Completion, FinishReason, SamplingParams
from rlvr.evaluation.chat_server import ChatServer, Reply, parse_address
from rlvr.evaluation.policy import Answer, answer_of, answer_seeds
from rlvr.failure import WorkError
from rlvr_envs import Environment, Episode, Task
from rlvr_envs.seeds import derive_seed


def is_server(path: str) -> bool:
    """Whether a model's path means a server."""
    return path.startswith(("http://", "https://"))


class ServerPolicy:
    """A server that is asked for each completion by itself, a few at a time.

    The seeds are the task's, and the server's business: most repeat a completion under one seed, none promises to.

    Args:
        path: Its address; see `chat_server.parse_address`.
        env: Whose tasks.
        params: How completions are drawn.
        split: Which tasks; part of the seeds.
        seed: Of the run.

    Raises:
        UserError: The address is none, or no such server answers there.
    """

    def __init__(self, path: str, env: Environment, params: SamplingParams, split: str, seed: int) -> None:
        self.server = ChatServer(parse_address(path))
        self.env, self.params, self.split, self.seed = env, params, split, seed
        self.temperature = params.temperature
        self.has_answered = False

    def check(self, tasks: Sequence[Task]) -> None:
        """Asks the server for its model; how long a prompt may be is its to say."""
        self.server.open()

    def answer(self, tasks: Sequence[Task], num_samples: int) -> list[list[Answer]]:
        """For each task, as many answers as asked for; one that failed is empty and says why.

        Raises:
            WorkError: Not one request was answered.
        """
        seeds = [answer_seeds(self.env, task, self.split, self.seed, num_samples) for task in tasks]
        jobs = [(task, seed) for task, group in zip(tasks, seeds, strict=True) for seed in group]
        answers = self._ask(jobs)
        self.has_answered = self.has_answered or any(not answer.failure for answer in answers)
        if not self.has_answered:
            raise WorkError(
                f"{self.server.address.url}: all of {len(jobs)} requests failed, the last: {answers[-1].failure}"
            )
        return [answers[first : first + num_samples] for first in range(0, len(answers), num_samples)]

    def close(self) -> None:
        """Closes the connections."""
        self.server.close()

    def _ask(self, jobs: Sequence[tuple[Task, int]]) -> list[Answer]:
        pool = ThreadPoolExecutor(self.server.address.concurrency)
        try:
            return list(pool.map(self._answer, jobs))
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C waits for the requests under way alone

    def _answer(self, job: tuple[Task, int]) -> Answer:
        """An answer, asked for turn by turn; the budget of tokens is that of each turn, for nobody counts them here."""
        task, seed = job
        prompt, episode = self.env.messages(task), Episode(self.env, task, self.params.max_turns or 0)
        replies: list[Reply] = []
        while not episode.is_over and not (replies and (replies[-1].is_cut or replies[-1].failure)):
            number = len(replies)
            turn_seed = derive_seed(seed, turn=number) if number else seed
            replies.append(self.server.ask([*prompt, *episode.turns], self.params, turn_seed))
            if not replies[-1].failure:
                episode.step(replies[-1].text)
        is_single = self.env.max_turns == 1
        return answer_of(
            replies[-1].text if is_single else episode.turns,
            seed,
            completion=_completion(replies[-1], episode.truncated),
            num_prompt_tokens=replies[0].num_prompt_tokens,
            counted_tokens=sum(reply.num_tokens for reply in replies),
            failure=replies[-1].failure,
        )


def _completion(reply: Reply, is_truncated: bool) -> Completion:
    """Without tokens: a server gives text."""
    ended = FinishReason.TURNS if is_truncated else FinishReason.STOP
    return Completion([], [], FinishReason.LENGTH if reply.is_cut else ended, 0.0)
