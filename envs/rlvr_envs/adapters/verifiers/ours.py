"""Ours as a taskset of verifiers, and the harness that plays it. `rlvr_taskset` shows them under an id of its own.

A task holds the prompt and our row. The total is verifiers' one reward, since ours need be no weighted sum; our parts
and `success` are its metrics. The harness asks the model for a turn, and our environment for the reply to it, from this
process: the harnesses of verifiers start a program of their own by `uv`, from the network, and know no replies.
"""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import httpx
import verifiers.v1 as vf

from rlvr_envs.catalogue import make
from rlvr_envs.environment import Message
from rlvr_envs.episode import Episode
from rlvr_rewards import Score


class OurData(vf.TaskData):
    """A row of ours: the environment that made it, and the row as JSON text."""

    environment: str
    row: str


class OurTask(vf.Task[OurData]):
    """Our reward over what the model said."""

    @vf.reward
    async def reward(self, trace: vf.Trace) -> float:
        """The total that our environment gives."""
        score = self._score(trace)
        if score.reward is None:
            raise ValueError(f"no reward: {score.errors or 'no part applies'}")
        return score.reward

    @vf.metric
    async def parts(self, trace: vf.Trace) -> dict[str, float]:
        """Our parts by name, and `success`."""
        env, row = make(self.data.environment), json.loads(self.data.row)
        known = {name: value for name, value in self._score(trace).parts.items() if value is not None}
        return {**known, "success": float(env.success(row, env.heard(row, self._turns(trace))))}

    async def validate(self, runtime: vf.Runtime) -> bool | None:
        """Whether our gold earns the most there is, and succeeds."""
        env, row = make(self.data.environment), json.loads(self.data.row)
        gold = env.gold(row)
        return env.score(row, gold).reward == env.reward.max and env.success(row, env.heard(row, gold))

    def _score(self, trace: vf.Trace) -> Score:
        return make(self.data.environment).score(json.loads(self.data.row), self._turns(trace))

    def _turns(self, trace: vf.Trace) -> list[Message]:
        said = [str(message.content or "") for message in trace.assistant_messages] or [""]
        return [{"role": "assistant", "content": text} for text in said]


class OurConfig(vf.TasksetConfig):
    """Which of our environments, as `NAME?option=value`; which split, and which seed."""

    environment: str = "arithmetic"
    split: str = "test"
    seed: int = 0
    num_tasks: int = 1000


class OurTaskset(vf.Taskset[OurTask, OurConfig]):
    """The rows of an environment of ours."""

    def load(self) -> Iterator[OurTask]:
        env = make(self.config.environment)
        for row in islice(env.rows(self.config.split, self.config.seed), self.config.num_tasks):
            *before, last = env.messages(row)
            system = "\n\n".join(message["content"] for message in before)
            data = OurData(  # pyright: ignore[reportCallIssue]  # a default given by position
                id=env.task_id(row),
                prompt=last["content"],
                system_prompt=system or None,
                environment=self.config.environment,
                row=json.dumps(row),
            )
            yield OurTask(data, self.config.task)


class OurHarness(vf.Harness[vf.HarnessConfig]):
    """Plays an episode: the model's turn, our environment's reply, until one of them ends it."""

    APPENDS_SYSTEM_PROMPT = True
    EXECUTES_CODE = False
    NEEDS_CONTAINER = False

    async def launch(
        self,
        ctx: Any,
        trace: vf.Trace,
        runtime: vf.Runtime,
        endpoint: str,
        secret: str,
        mcp_urls: dict[str, str],
        data: vf.TaskData,
        tool_interception_url: str | None = None,
    ) -> vf.ProgramResult:
        assert isinstance(data, OurData), "this harness plays the tasks of its own taskset"
        env, row = make(data.environment), json.loads(data.row)
        episode, asked = Episode(env, row), env.messages(row)
        async with httpx.AsyncClient(timeout=None, headers={"Authorization": f"Bearer {secret}"}) as client:
            while not episode.is_over:
                body = {"model": ctx.model, "messages": [*asked, *episode.turns]}
                answer = await client.post(f"{endpoint.rstrip('/')}/chat/completions", json=body)
                if answer.is_error:
                    return vf.ProgramResult(1, "", f"{answer.status_code}: {answer.text[:500]}")
                episode.step(answer.json()["choices"][0]["message"].get("content") or "")
        return vf.ProgramResult(0, "", "")
