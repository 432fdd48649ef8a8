"""Episodes of several turns: sampled by tokens that stay, masked where the environment speaks, equal to stock TRL."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

import pytest
import torch
import trl
from datasets import Dataset
from trl import GRPOTrainer

from rlvr.config.schema import ModelConfig
from rlvr.data.forms import Example
from rlvr.data.tokens import IGNORED, encode
from rlvr.engine.algorithms import ALGORITHMS
from rlvr.engine.dynamic_sampling import FreshTasks
from rlvr.engine.examples import examples
from rlvr.engine.rollout import Origin
from rlvr.engine.sampling import Completion, FinishReason, Request, SamplingParams
from rlvr.engine.savings import Savings
from rlvr.engine.torch_sampler import TorchSampler
from rlvr.engine.trainer import GroupTrainer
from rlvr.engine.turns import sample_episodes
from rlvr.models.chat import Replies, end_of_turn_ids, pad_id, prompt_ids
from rlvr.models.load import load_model, load_tokenizer
from rlvr.models.scratch import make_scratch_model
from rlvr.traces.store import TraceWriter, read_shard, shards
from rlvr_envs import make
from rlvr_envs.library.guess import Guess
from rlvr_envs.seeds import derive_seed
from rlvr_rewards import UserError
from tests.rlvr.engine.conftest import TINY, Gradients, trained

ENV = make("guess?largest=15&guesses=4")
CUT = "…"
BUDGET = 90


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("guesser")
    make_scratch_model(path, TINY, ENV, seed=0)
    return str(path)


@pytest.fixture(scope="module")
def tokenizer(folder):
    return load_tokenizer(folder, ModelConfig())


@pytest.fixture(scope="module")
def tasks():
    return list(islice(ENV.rows("train", 0), 2))


class Said:
    """A sampler whose turns are told in advance, by the seed of the first turn: each row's next one at each call."""

    def __init__(self, texts: Sequence[Sequence[str]], tokenizer) -> None:
        self.texts, self.tokenizer = [list(row) for row in texts], tokenizer
        self.calls: list[list[Request]] = []
        self.rows: dict[int, int] = {}

    def sample(self, requests, params):
        self.calls.append(list(requests))
        if len(requests[0].seeds) > 1 or not self.rows:
            self.rows = {seed: row for row, seed in enumerate(seed for r in requests for seed in r.seeds)}
            self.turn = dict.fromkeys(self.rows.values(), 0)
        return [[self._next(self._row(seed)) for seed in request.seeds] for request in requests]

    def _row(self, seed):
        later = ((row, derive_seed(first, turn=turn)) for first, row in self.rows.items() for turn in range(1, 9))
        return self.rows[seed] if seed in self.rows else next(row for row, each in later if each == seed)

    def _next(self, row):
        text = (self.texts[row] + guesses(*range(1, 9)))[self.turn[row]]
        self.turn[row] += 1
        ids = self.tokenizer.encode(text.removeprefix(CUT)) + [self.tokenizer.eos_token_id] * (not text.startswith(CUT))
        reason = FinishReason.LENGTH if text.startswith(CUT) else FinishReason.STOP
        return Completion(ids, [-1.0] * len(ids), reason, 0.0)


def guesses(*numbers):
    return [f"<guess>{number}</guess>" for number in numbers]


def episodes(tokenizer, tasks, texts, params=None, env=ENV):
    size = len(texts) // len(tasks)
    requests = [
        Request(prompt_ids(tokenizer, env.messages(task)), [100 * n + k for k in range(size)])
        for n, task in enumerate(tasks)
    ]
    sampler = Said(texts, tokenizer)
    found = sample_episodes(sampler, requests, params or SamplingParams(BUDGET), env, tasks, tokenizer)
    return [completion for group in found for completion in group], sampler


def golds(task):
    return [turn["content"] for turn in ENV.gold(task) if turn["role"] == "assistant"]


def wrong(task, count):
    return guesses(*[number for number in range(1, task["high"]) if number != task["number"]][:count])


def test_every_turn_is_drawn_after_the_very_tokens_before_it_and_is_over_with_its_episode(tokenizer, tasks):
    texts = [golds(tasks[0]), wrong(tasks[0], 4), golds(tasks[1]), wrong(tasks[1], 4)]
    found, sampler = episodes(tokenizer, tasks, texts)
    asked = [[list(request.prompt_ids) for request in call] for call in sampler.calls]
    for earlier, later in pairwise(asked):
        for context in later:
            assert any(context[: len(before)] == before for before in earlier)
    lengths = [len(row) for row in texts]
    assert [len(call) for call in sampler.calls[1:]] == [sum(n > turn for n in lengths) for turn in range(1, 4)]
    for completion, said in zip(found, texts, strict=True):
        whole = tokenizer.decode(completion.token_ids)
        assert [turn.content for turn in completion.turns if turn.is_own] == said
        assert (
            whole
            == "<|im_end|>\n".join(
                f"{turn.content}"
                if turn.is_own
                else f"<|im_start|>user\n{turn.content}<|im_end|>\n<|im_start|>assistant\n"
                for turn in completion.turns
            ).replace("<|im_start|>assistant\n<|im_end|>\n", "<|im_start|>assistant\n")
            + "<|im_end|>"
        )
        own = [token for turn in said for token in (*tokenizer.encode(turn), tokenizer.eos_token_id)]
        assert completion.own_ids == own
        assert [logprob is None for logprob in completion.logprobs] == [not is_own for is_own in completion.own]
        assert completion.messages == ENV.episode(_task_of(completion, found, tasks), said)
        assert completion.finish_reason == FinishReason.STOP


def _task_of(completion, found, tasks):
    return tasks[found.index(completion) * len(tasks) // len(found)]


def test_the_seed_of_a_turn_is_of_the_completion_and_the_turn(tokenizer, tasks):
    _, sampler = episodes(tokenizer, tasks, [wrong(tasks[0], 4), wrong(tasks[1], 4)])
    seeds = [[seed for request in call for seed in request.seeds] for call in sampler.calls]
    assert seeds == [[0, 100], *([derive_seed(first, turn=turn) for first in (0, 100)] for turn in (1, 2, 3))]


def test_how_an_episode_ends(tokenizer, tasks):
    task = tasks[0]
    texts = [golds(task), [CUT + "<guess>3"], wrong(task, 2), ["nothing", CUT + "x"]]
    params = SamplingParams(BUDGET, max_turns=2)
    enough = [golds(task)] if len(golds(task)) <= 2 else [[f"<guess>{task['number']}</guess>"]]
    found, _ = episodes(tokenizer, [task], [*enough, *texts[1:]], params)
    assert [each.finish_reason for each in found] == ["stop", "length", "turns", "length"]
    assert found[2].turns[-1].role == "user" and not found[2].own[-1]  # cut off after the reply
    assert found[3].turns[1].content.startswith("write one whole number")


def test_a_reply_that_does_not_fit_is_cut_and_ends_the_episode(tokenizer, tasks):
    text = wrong(tasks[0], 1)[0]
    budget = len(tokenizer.encode(text)) + 4
    (found,), _ = episodes(tokenizer, tasks[:1], [[text]], SamplingParams(budget))
    assert (found.finish_reason, len(found.token_ids), found.own[-3:]) == ("length", budget, [False] * 3)


def test_a_turn_is_cut_to_what_is_left_of_the_budget(tokenizer, tasks):
    first, second = wrong(tasks[0], 1)[0], "a very long guess " * 3
    budget = 40
    (found,), sampler = episodes(tokenizer, tasks[:1], [[first, second]], SamplingParams(budget))
    assert (found.finish_reason, len(found.token_ids)) == ("length", budget)
    assert sampler.calls[1][0].max_new_tokens == budget - len(sampler.calls[1][0].prompt_ids) + len(
        sampler.calls[0][0].prompt_ids
    )


@dataclass(frozen=True)
class Brittle(Guess):
    name = "brittle"

    def reply(self, task, turns):
        if "13" in turns[-1]["content"]:
            raise RuntimeError("no reply to 13")
        return super().reply(task, turns)


def test_an_environment_that_cannot_reply_is_an_error_of_that_episode(tokenizer, tasks):
    env = Brittle(largest=15, guesses=4)
    task = {"high": 15, "number": 2}
    found, _ = episodes(tokenizer, [task], [guesses(13), guesses(2)], env=env)
    assert [each.finish_reason for each in found] == ["error", "stop"]
    assert found[0].error == "RuntimeError: no reply to 13"


def test_a_turn_that_a_stop_string_ended_is_ended_by_the_template(tokenizer):
    replies, reply = Replies(tokenizer), [{"role": "user", "content": "higher"}]
    ended, open_ = replies.ids(reply, tokenizer.eos_token_id), replies.ids(reply, tokenizer.encode("7")[0])
    assert open_ == [tokenizer.eos_token_id, *ended]


@pytest.mark.parametrize("name", ["qwen2_5", "qwen3", "gemma3", "llama3_1", "phi3", "glm4moe", "deepseekv3"])
def test_a_reply_is_what_the_models_template_makes_of_it(folder, name):
    tokenizer = load_tokenizer(folder, ModelConfig())
    tokenizer.chat_template = (Path(trl.__file__).parent / f"chat_templates/{name}.jinja").read_text()
    said = [{"role": "user", "content": "ask"}, {"role": "assistant", "content": "seven"}]
    reply = {"role": "user", "content": "higher"}
    whole = tokenizer.apply_chat_template([*said, reply], tokenize=False, add_generation_prompt=True)
    put = tokenizer.decode(Replies(tokenizer).ids([reply], None))
    assert whole == whole.partition("seven")[0] + "seven" + put


def test_a_template_that_knows_no_tools_is_refused_in_one_line(folder):
    tokenizer = load_tokenizer(folder, ModelConfig())
    refusing = "{% if message['role'] == 'tool' %}{{ raise_exception('no tools') }}{% endif %}{{ '<|im_start|>'"
    tokenizer.chat_template = tokenizer.chat_template.replace("{{ '<|im_start|>'", refusing, 1)
    with pytest.raises(UserError, match=r"takes no reply of the role 'tool' \(.*no tools\)"):
        Replies(tokenizer).ids([{"role": "tool", "content": "7"}], None)
    assert Replies(tokenizer).ids([{"role": "user", "content": "7"}], None)


def test_the_torch_sampler_plays_and_batches_do_not_matter(folder, tokenizer, tasks):
    model = load_model(folder, ModelConfig())
    requests = [Request(prompt_ids(tokenizer, ENV.messages(task)), [5, 6, 7]) for task in tasks]

    def play(asked, of):
        sampler = TorchSampler(model, end_of_turn_ids(model, tokenizer), pad_id(tokenizer), tokenizer=tokenizer)
        params = SamplingParams(BUDGET, min_new_tokens=2, stop=("e", "s", "1"))
        return [c for g in sample_episodes(sampler, asked, params, ENV, of, tokenizer) for c in g]

    together, apart = play(requests, tasks), [*play(requests[:1], tasks[:1]), *play(requests[1:], tasks[1:])]
    assert any(len(completion.turns) > 1 for completion in together)
    assert [each.token_ids for each in together] == [each.token_ids for each in apart]
    for completion in together:
        assert len(completion.token_ids) == len(completion.logprobs) == len(completion.own) <= BUDGET


# --- training ---

GROUPS = 4


def texts_of(tasks):
    """Two groups of four whose rewards and numbers of turns differ, one turn cut short."""
    rows = []
    for task in tasks:
        rows += [golds(task), wrong(task, 4), ["nothing at all", *wrong(task, 3)], [wrong(task, 1)[0], CUT + "<guess>"]]
    return rows


@pytest.fixture
def dataset():
    return Dataset.from_list(list(islice(examples(ENV, 0), 2)))


@pytest.fixture
def make_ours(folder, tokenizer, dataset, arguments, tmp_path):
    def build(texts, savings=Savings(), fresh_tasks=None, **changes):  # noqa: B008 (frozen)
        sampler = Said(texts, tokenizer)
        args = arguments(**{"max_completion_length": BUDGET, **changes})
        return GroupTrainer(
            env=ENV,
            reward=ENV.reward,
            make_sampler=lambda model: sampler,
            params=SamplingParams(BUDGET, args.temperature),
            traces=TraceWriter(tmp_path / "traces", "grpo", "train"),
            origin=Origin("test", "grpo", 0),
            model=load_model(folder, ModelConfig()),
            args=args,
            train_dataset=dataset,
            processing_class=tokenizer,
            savings=savings,
            fresh_tasks=fresh_tasks,
        )

    return build


@pytest.fixture
def make_stock(folder, tokenizer, dataset, arguments):
    """Stock TRL whose `rollout_func` gives the same ids and mask."""

    def build(texts, **changes):
        tasks = [json.loads(row["task"]) for row in dataset]
        found, _ = episodes(tokenizer, tasks, texts)
        prompts = [prompt_ids(tokenizer, ENV.messages(task)) for task in tasks for _ in range(GROUPS)]
        scores = {tuple(c.token_ids): ENV.score(tasks[n // GROUPS], c.messages).reward for n, c in enumerate(found)}

        def rollout(_prompts, _trainer):
            own = [[int(each) for each in completion.own] for completion in found]
            ids = [completion.token_ids for completion in found]
            return {"prompt_ids": prompts, "completion_ids": ids, "logprobs": None, "env_mask": own}

        return GRPOTrainer(
            model=load_model(folder, ModelConfig()),
            reward_funcs=lambda completion_ids, **_: [scores[tuple(ids)] for ids in completion_ids],
            args=arguments(**{"max_completion_length": BUDGET, **changes}),
            train_dataset=dataset,
            processing_class=tokenizer,
            rollout_func=rollout,
        )

    return build


def assert_equal(ours: Gradients, stock: Gradients) -> None:
    assert math.isclose(ours.logs["loss"], stock.logs["loss"], abs_tol=1e-5)
    for name, gradient in stock.values.items():
        torch.testing.assert_close(ours.values[name], gradient, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name != "gdpo"])  # which is of several rewards
def test_an_algorithm_is_stock_trl_with_the_same_mask(make_ours, make_stock, tasks, algorithm):
    texts, settings = texts_of(tasks), ALGORITHMS[algorithm].trl
    assert_equal(trained(make_ours(texts, **settings)), trained(make_stock(texts, **settings)))


SAVINGS = {
    "none": Savings(False, False, False),
    "share_prompts": Savings(True, False, False),
    "trim_padding": Savings(False, True, False),
    "skip_zero_variance": Savings(False, False, True),
}
CORNERS = {
    "on": {},
    "off": {"loss_type": "grpo", "num_iterations": 2, "max_steps": 2},
    "KL": {"beta": 0.1},
    "masked where cut short": {"mask_truncated_completions": True},
}


@pytest.mark.parametrize("corner", CORNERS)
def test_all_savings_are_stock_trl(make_ours, make_stock, tasks, corner):
    texts = [*texts_of(tasks)[:4], *[golds(tasks[1])] * 4]
    assert_equal(trained(make_ours(texts, **CORNERS[corner])), trained(make_stock(texts, **CORNERS[corner])))


@pytest.mark.parametrize("saving", SAVINGS)
def test_each_saving_by_itself_is_stock_trl(make_ours, make_stock, tasks, saving):
    texts = [*texts_of(tasks)[:4], *[golds(tasks[1])] * 4]
    ours, stock = trained(make_ours(texts, savings=SAVINGS[saving])), trained(make_stock(texts))
    assert_equal(ours, stock)
    if saving != "skip_zero_variance":  # whose rows that teach nothing are left out of the mean
        assert ours.logs["entropy"] == pytest.approx(stock.logs["entropy"], abs=1e-5)


def test_the_models_own_tokens_are_counted(make_ours, tasks):
    logs = trained(make_ours(texts_of(tasks))).logs
    own = sum(len(completion) for completion in _own_ids(make_ours, tasks))
    assert logs["completions/mean_length"] * 8 == own
    assert logs["turns"] > 2 and logs["turns/cut_short"] == 0.25


def _own_ids(make_ours, tasks):
    trainer = make_ours(texts_of(tasks))
    found, _ = episodes(trainer.processing_class, tasks, texts_of(tasks))
    return [completion.own_ids for completion in found]


def test_a_trace_holds_every_turn(make_ours, tasks, tokenizer, tmp_path):
    trained(make_ours(texts_of(tasks)))
    rows = [row for shard in shards(tmp_path / "traces") for row in read_shard(shard.path).to_pylist()]
    for row in rows:
        turns = json.loads(row["turns"])
        assert [{"role": turn["role"], "content": turn["content"]} for turn in turns] == ENV.episode(
            json.loads(row["task"]), [turn["content"] for turn in turns if turn["role"] == "assistant"]
        )[: len(turns)]
        for turn in turns:
            text = tokenizer.decode(row["token_ids"][slice(*turn["tokens"])], skip_special_tokens=True)
            assert turn["content"] in text
        assert row["completion"] == "\n".join(turn["content"] for turn in turns if turn["role"] == "assistant")
        assert row["completion_tokens"] == sum(logprob is not None for logprob in row["logprobs"])
    assert [row["finish_reason"] for row in rows] == ["stop", "stop", "stop", "length"] * 2
    assert [row["success"] for row in rows] == [True, False, False, False] * 2
    assert rows[0]["gold"] == "\n".join(golds(tasks[0]))


def test_dynamic_sampling_plays_other_tasks_in_the_place_of_equal_groups(make_ours, tasks, tmp_path):
    same = [*texts_of(tasks)[:4], *[golds(tasks[1])] * 4]

    def stream(step):
        return examples(ENV, 7)

    trainer = make_ours(same, fresh_tasks=FreshTasks(stream, 1))
    logs = trained(trainer).logs
    assert logs["dynamic_sampling/extra_groups"] == 1
    rows = [row for shard in shards(tmp_path / "traces") for row in read_shard(shard.path).to_pylist()]
    assert sorted(row["attempt"] for row in rows) == [0] * 8 + [1] * 4
    assert all(row["turns"] for row in rows)


# --- learning by imitation ---


def test_sft_learns_of_gold_what_an_episode_of_the_same_turns_is(tokenizer, tasks):
    task = tasks[1]
    prompt, gold = ENV.messages(task), ENV.gold(task)
    tokens = encode(Example("gold", (*prompt, *gold), len(prompt)), tokenizer, "completion")
    (sampled,), _ = episodes(tokenizer, [task], [golds(task)])
    asked = prompt_ids(tokenizer, prompt)
    assert tokens.ids == [*asked, *sampled.token_ids]
    own = [IGNORED] * len(asked) + [
        token if is_own else IGNORED for token, is_own in zip(sampled.token_ids, sampled.own, strict=True)
    ]
    assert tokens.labels == own


def test_two_replies_in_a_row_are_read_and_not_learned(tokenizer):
    said = [("assistant", "one"), ("tool", "1"), ("user", "go on"), ("assistant", "two")]
    messages = tuple({"role": role, "content": text} for role, text in [("user", "ask"), *said])
    tokens = encode(Example("row", messages, 1), tokenizer, "completion")
    learned = tokenizer.decode([label for label in tokens.labels if label != IGNORED])
    assert learned == "one<|im_end|>two<|im_end|>"
    assert tokenizer.decode(tokens.ids).count("<|im_start|>assistant") == 2
