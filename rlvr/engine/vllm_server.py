"""The sampler that asks vLLM servers, one or several, behind the protocol of `sampling`.

Groups are dealt out in turn, so that a group's prompt is computed once, on one server. Each completion is a request of
its own, with its own seed. A server that is away or slow is waited for with back-off, given the weights again, and
asked again for what it did not answer; one that stays away stops the work (`OutsideError`). Not here: HTTP
(`vllm_http`), how weights get to the servers (`vllm_transfer`), starting servers (`rlvr serve`).
"""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from rlvr.engine.sampling import MAX_ROWS, Completion, FinishReason, Request, SamplingParams
from rlvr.engine.token_record import Others, others_of
from rlvr.engine.vllm_guard import check_gap, refuse_too_long, sampler_gap
from rlvr.engine.vllm_http import Server, ServerAwayError, ServerInfo
from rlvr.engine.vllm_sampler import vllm_settings
from rlvr.engine.vllm_transfer import Transfer, transfer_for
from rlvr.failure import OutsideError
from rlvr_rewards.errors import UserError

T = TypeVar("T")
_ATTEMPTS = 3
"""How often a server is asked for the same, where it comes back in between."""


@dataclass(frozen=True)
class _Job:
    """One completion: where it is asked for, and what."""

    server: Server
    body: dict[str, Any]


class ServerSampler:
    """Samples from the model that it was last given, with vLLM servers that hold the same model.

    Args:
        urls: Of the servers, such as `http://localhost:8000`.
        eos_ids: Tokens that end a turn.
        answer_s: How long a server may take for one completion, or to take the weights.
        patience_s: How long a server may be away, at the start and later.
        group_port: On this machine, for weights over NCCL.
        by_first: Has the first of several processes send the weights, while the others wait.
        say: Told when a server is waited for.

    Attributes:
        metrics: `sampler_gap` (nats): how far the servers' log-probs are from the model's.
    """

    def __init__(
        self,
        urls: Sequence[str],
        eos_ids: Sequence[int],
        *,
        answer_s: float,
        patience_s: float,
        group_port: int,
        by_first: Callable[[Callable[[], None]], None],
        say: Callable[[str], None],
    ) -> None:
        self.servers = [Server(url, answer_s, patience_s, say) for url in urls]
        self.eos_ids, self.group_port, self.say = sorted(set(eos_ids)), group_port, say
        self.by_first = by_first
        self.metrics: dict[str, float] = {}
        self._infos: list[ServerInfo] = []
        self._transfer: Transfer | None = None
        self._model: Any = None
        self._synced = False

    def holding(self, model: Any) -> "ServerSampler":
        """This sampler, which takes the model's weights as they are now before it samples next."""
        self._model, self._synced = model, False
        return self

    def sample(self, requests: Sequence[Request], params: SamplingParams) -> list[list[Completion]]:
        """A group for each request, in order; see `Sampler`.

        Raises:
            UserError: A server does not hold this model or refuses a request; nothing was sampled.
            OutsideError: A server stays away, or fails again and again.
            WorkError: A server does not have the model's weights.
        """
        transfer = self._transfer or self._connect()
        started_for = "that the servers were started for: lower the budget, or raise --max-length of rlvr serve"
        refuse_too_long(requests, params, min(info.max_length for info in self._infos), started_for)
        fresh = not self._synced
        if fresh:
            self.by_first(lambda: self._push_to(transfer, self.servers))
            self._synced = True
        groups = self._groups(transfer, requests, params)
        if fresh:
            self.metrics["sampler_gap"] = sampler_gap(self._model, requests, groups, params, self.eos_ids)
            check_gap(self.metrics["sampler_gap"])
        return groups

    def close(self) -> None:
        """Lets the servers be; they go on running."""
        if self._transfer:
            self._transfer.close()
        self._transfer, self._synced = None, False

    def _connect(self) -> Transfer:
        for server in self.servers:
            server.wait()
        self._infos = [_patiently(server, partial(_info, server), "does not say what it is") for server in self.servers]
        self._transfer = transfer_for(list(zip(self.servers, self._infos, strict=True)), self._model, self.group_port)
        how = "through files" if all(info.takes_files for info in self._infos) else "over NCCL"
        self.say(f"sampling with {len(self.servers)} vLLM server(s); weights go {how}")
        if hasattr(self._model, "peft_config"):
            self.say("the adapter is merged and all weights are pushed at every step: the servers hold whole models")
        return self._transfer

    def _push_to(self, transfer: Transfer, servers: Iterable[Server]) -> None:
        try:
            for server in servers:
                _patiently(server, partial(transfer.push, self._model, server), "does not take the weights")
        finally:
            transfer.settled()

    def _groups(
        self, transfer: Transfer, requests: Sequence[Request], params: SamplingParams
    ) -> list[list[Completion]]:
        jobs = self._jobs(requests, params)
        done: dict[int, Completion] = {}
        problem: tuple[Server, Exception] | None = None
        started = time.perf_counter()
        for _ in range(_ATTEMPTS):
            left = [number for number in range(len(jobs)) if number not in done]
            with ThreadPoolExecutor(max_workers=min(len(left), MAX_ROWS * len(self.servers))) as pool:
                answers = list(pool.map(lambda number: _ask(jobs[number], started, params.alternatives), left))
            done |= {n: answer for n, answer in zip(left, answers, strict=True) if isinstance(answer, Completion)}
            failed = {jobs[n].server: a for n, a in zip(left, answers, strict=True) if isinstance(a, ServerAwayError)}
            if not failed:
                completions = iter([done[number] for number in range(len(jobs))])
                return [[next(completions) for _ in request.seeds] for request in requests]
            for server, error in failed.items():
                problem = server, error
                self.say(f"the vLLM server at {server.url} did not answer ({error}): asking again")
                server.wait()
            self._push_to(transfer, failed)  # they may have been started again, and then hold no weights
        assert problem is not None
        raise OutsideError(f"the vLLM server at {problem[0].url} fails again and again ({problem[1]}): look at its log")

    def _jobs(self, requests: Sequence[Request], params: SamplingParams) -> list[_Job]:
        shared = {
            **vllm_settings(params, self.eos_ids),
            "return_token_ids": True,
            "return_tokens_as_token_ids": True,
        }
        del shared["detokenize"]
        jobs = []
        for number, request in enumerate(requests):
            place = number % len(self.servers)
            body = {**shared, "model": self._infos[place].model, "prompt": list(request.prompt_ids)}
            body["max_tokens"] = request.budget(params)
            jobs += [_Job(self.servers[place], {**body, "seed": seed}) for seed in request.seeds]
        return jobs


def _patiently(server: Server, asked: Callable[[], T], failing: str) -> T:
    """What a server answers, asked again where it was away."""
    problem = ""
    for _ in range(_ATTEMPTS):
        try:
            return asked()
        except ServerAwayError as error:
            problem = str(error)
            server.say(f"the vLLM server at {server.url} did not answer ({problem}): asking again")
            server.wait()
    raise OutsideError(f"the vLLM server at {server.url} {failing} ({problem}): look at its log")


def _info(server: Server) -> ServerInfo:
    try:
        return server.info()
    except (UserError, KeyError, ValueError, IndexError, TypeError) as error:
        raise UserError(
            f"{server.url} is no vLLM server that takes weights ({error}): start it with rlvr serve MODEL"
        ) from None


def _ask(job: _Job, started: float, num_others: int) -> Completion | ServerAwayError:
    try:
        choice = job.server.post("/v1/completions", job.body)["choices"][0]
    except ServerAwayError as error:
        return error
    return Completion(
        token_ids=list(choice["token_ids"]),
        logprobs=list(choice["logprobs"]["token_logprobs"]),
        finish_reason=FinishReason(choice["finish_reason"]),
        seconds=time.perf_counter() - started,
        alternatives=_others(choice, num_others) if num_others else None,
    )


def _others(choice: dict[str, Any], num_others: int) -> list[Others]:
    """For each token what else it could have been; a server names tokens as `token_id:5`."""
    found = []
    for token, likeliest in zip(choice["token_ids"], choice["logprobs"]["top_logprobs"], strict=True):
        named = ((int(name.rpartition(":")[2]), logprob) for name, logprob in (likeliest or {}).items())
        found.append(others_of(named, token, num_others))
    return found
