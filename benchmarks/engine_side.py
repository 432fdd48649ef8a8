"""One side of the engine benchmark: a process that trains, a step each time it is told to, and says where time went.

Used by engine.py and gpu.py.
"""

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine_clock import REST, Clock
from engine_work import Plan, Shape

SAMPLE, BOOKKEEPING, REWARD, LOG_PROB = "sample", "bookkeeping", "reward", "log-prob"
UPDATE, TRACE = "forward/backward", "trace"
PARTS = (SAMPLE, BOOKKEEPING, REWARD, LOG_PROB, UPDATE, TRACE, REST)


@dataclass(frozen=True)
class Side:
    """A trainer and its settings.

    Attributes:
        name: What its column is called.
        stock: TRL's own trainer, otherwise ours.
        accumulation: Passes of an optimizer step.
        savings: Of ours: settings of `rlvr.engine.savings.Savings` that are not the default.
        dictated: Completions are random tokens that nobody samples, to try the update by itself.
    """

    name: str
    stock: bool = False
    accumulation: int = 1
    savings: dict[str, bool] = field(default_factory=dict)
    dictated: bool = False


@dataclass(frozen=True)
class Job:
    """What a side's process is started with."""

    side: Side
    shape: Shape
    threads: int
    full: bool
    on_gpu: bool = False


class _Finished(BaseException):
    """No more steps are asked for."""


def work(job: Job, pipe: Any) -> None:
    """The process: sends nothing once it is ready, then for each share of flat groups that it gets a step's seconds."""
    from rlvr.pipeline.environment import prepare_process, quiet_libraries

    prepare_process(offline=True)
    import torch

    quiet_libraries()
    torch.set_num_threads(job.threads)
    if job.shape.vllm:
        os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
    with tempfile.TemporaryDirectory() as folder:
        trainer, clock, plan = _trainer(job, Path(folder))
        trainer.add_callback(_gate(pipe, clock, plan))
        try:
            trainer.train()
        except _Finished:
            pipe.close()


def _trainer(job: Job, folder: Path) -> tuple[Any, Clock, Plan]:
    import torch
    from engine_work import dataset, make_model
    from transformers import PrinterCallback, set_seed

    env, reward = make_model(job.shape, folder / "model")
    plan = Plan(job.shape, job.full)
    clock = Clock(torch.cuda.synchronize if job.on_gpu else lambda: None)
    set_seed(0)
    common = {"args": _arguments(job, folder), "train_dataset": dataset(env, 40 * job.shape.prompts)}
    make_side = _stock if job.side.stock else _ours
    trainer = make_side(job, folder, env, plan.forced(reward), plan, clock, common)
    trainer.remove_callback(PrinterCallback)
    if job.side.dictated:
        trainer._generate_single_turn = _dictated(plan, trainer.processing_class)
    when_sampled = lambda: not torch.is_grad_enabled()  # noqa: E731
    _time(clock, trainer, "_calculate_rewards", REWARD)
    _time(clock, trainer, "_get_per_token_logps_and_entropies", LOG_PROB, when_sampled)
    _time(clock, trainer, "_prepare_inputs", REST)
    _time(clock, trainer, "training_step", UPDATE)
    return trainer, clock, plan


def _arguments(job: Job, folder: Path) -> Any:
    from trl import GRPOConfig

    shape, passes = job.shape, job.side.accumulation
    vllm: dict[str, Any] = {}
    if shape.vllm and job.side.stock:
        vllm = {"use_vllm": True, "vllm_mode": "colocate", "vllm_max_model_length": 1024}
    return GRPOConfig(
        output_dir=str(folder / "out"),
        max_steps=100_000,
        learning_rate=1e-6,
        per_device_train_batch_size=shape.rows // passes,
        gradient_accumulation_steps=passes,
        num_generations=shape.group,
        max_completion_length=shape.max_new_tokens,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=not job.on_gpu,
        bf16=job.on_gpu,
        dataloader_pin_memory=job.on_gpu,
        gradient_checkpointing=False,
        seed=0,
        **vllm,
    )


def _model_and_tokenizer(folder: Path) -> tuple[Any, Any]:
    from rlvr.config.schema import ModelConfig
    from rlvr.models.load import load_model, load_tokenizer

    path = str(folder / "model")
    return load_model(path, ModelConfig()), load_tokenizer(path, ModelConfig())


def _stock(job: Job, folder: Path, env: Any, reward: Any, plan: Plan, clock: Clock, common: dict[str, Any]) -> Any:
    from transformers import LogitsProcessor
    from trl import GRPOTrainer

    model, tokenizer = _model_and_tokenizer(folder)
    if job.shape.vllm:
        _prepare_vllm(plan, job.on_gpu)

    class Forced(LogitsProcessor):
        def __init__(self, prompt_tokens: int) -> None:
            self.prompt_tokens = prompt_tokens

        def __call__(self, input_ids: Any, scores: Any) -> Any:
            position = input_ids.shape[1] - self.prompt_tokens
            plan.force(scores, range(len(scores)), position, tokenizer.eos_token_id)
            return scores

    generate = model.generate
    model.generate = lambda **kwargs: generate(**kwargs, logits_processor=[Forced(kwargs["input_ids"].shape[1])])
    trainer = GRPOTrainer(model=model, reward_funcs=reward, processing_class=tokenizer, **common)
    _time(clock, trainer, "_generate_single_turn", SAMPLE)
    return trainer


def _ours(job: Job, folder: Path, env: Any, reward: Any, plan: Plan, clock: Clock, common: dict[str, Any]) -> Any:
    from rlvr.engine import trainer as engine
    from rlvr.engine.rollout import Origin, Rollout
    from rlvr.engine.sampling import SamplingParams
    from rlvr.engine.savings import Savings
    from rlvr.traces.store import TraceWriter

    model, tokenizer = _model_and_tokenizer(folder)
    make_sampler = _sampler_source(job, folder, tokenizer, plan)

    def timed_sampler(model: Any) -> Any:
        sampler = make_sampler(model)
        sampler.sample = clock.timed(SAMPLE, type(sampler).sample.__get__(sampler))
        return sampler

    TraceWriter.write = clock.timed(TRACE, TraceWriter.write)
    engine.new_rollout = clock.timed(BOOKKEEPING, engine.new_rollout)
    Rollout.score = clock.timed(REWARD, Rollout.score)
    trainer = engine.GroupTrainer(
        env=env,
        reward=reward,
        make_sampler=timed_sampler,
        params=SamplingParams(job.shape.max_new_tokens),
        traces=TraceWriter(folder / "traces", "grpo", "train"),
        origin=Origin("benchmark", "grpo", 0),
        savings=Savings(**job.side.savings),
        model=model,
        processing_class=tokenizer,
        **common,
    )
    _time(clock, trainer, "_generate_single_turn", BOOKKEEPING)
    _time(clock, trainer, "_write_traces", TRACE)
    return trainer


def _sampler_source(job: Job, folder: Path, tokenizer: Any, plan: Plan) -> Callable[[Any], Any]:
    """Makes the sampler of a model as it is now."""
    from rlvr.engine.savings import Savings
    from rlvr.models.chat import end_of_turn_ids, pad_id

    if job.shape.vllm:
        from rlvr.engine.vllm_sampler import VLLMSampler

        _prepare_vllm(plan, job.on_gpu)
        return VLLMSampler(str(folder / "model"), [tokenizer.eos_token_id], max_length=1024).holding
    forced, savings = _forced_sampler(plan), Savings(**job.side.savings)
    return lambda model: forced(model, end_of_turn_ids(model, tokenizer), pad_id(tokenizer), savings=savings)


def _forced_sampler(plan: Plan) -> type:
    """Our torch sampler with the plan's lengths."""
    from rlvr.engine.torch_sampler import TorchSampler

    class Forced(TorchSampler):
        position = 0

        def _prefill(self, requests: Any, params: Any) -> Any:
            batch = super()._prefill(requests, params)
            self.position = 0
            self._force(batch)
            return batch

        def _decode(self, batch: Any) -> None:
            super()._decode(batch)
            self.position += 1
            self._force(batch)

        def _force(self, batch: Any) -> None:
            plan.force(batch.logits_BV, batch.rows_B.tolist(), self.position, int(self.eos_ids[0]))

    return Forced


def _prepare_vllm(plan: Plan, on_gpu: bool) -> None:
    """Gives each of vLLM's requests the length that the plan says; on a CPU lets weights be loaded again."""
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    from vllm import LLM  # pyright: ignore[reportMissingImports]

    from rlvr.engine.vllm_engine import prepare_for_cpu

    if not on_gpu:
        prepare_for_cpu()
    generate = LLM.generate

    def forced(llm: Any, prompts: Any, sampling_params: Any, **kwargs: Any) -> Any:
        given = sampling_params if isinstance(sampling_params, list) else [sampling_params] * len(prompts)
        settings = [each.clone() for each in given]
        for each, length in zip(settings, plan.lengths, strict=True):
            each.max_tokens = each.min_tokens = length
        return generate(llm, prompts, settings, **kwargs)

    LLM.generate = forced


def _dictated(plan: Plan, tokenizer: Any) -> Callable[..., Any]:
    from random import Random

    def turn(prompt_ids: Sequence[Any], *_: Any, **__: Any) -> tuple[list[list[int]], None]:
        random = Random(plan.step)
        words = [[random.randrange(3, 300) for _ in range(length - 1)] for length in plan.lengths]
        return [[*row, tokenizer.eos_token_id] for row in words], None

    return turn


def _gate(pipe: Any, clock: Clock, plan: Plan) -> Any:
    from transformers import TrainerCallback

    class Gate(TrainerCallback):
        """A step is all that happens from its beginning to the beginning of the next: logging and data are in it."""

        started = False

        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            pipe.send((clock.stop(), dict(clock.beside)) if self.started else None)
            flat = pipe.recv()
            if flat is None:
                raise _Finished
            self.started = True
            plan.next(flat)
            clock.start()

    return Gate()


def _time(clock: Clock, owner: Any, name: str, part: str, when: Callable[[], bool] = lambda: True) -> None:
    setattr(owner, name, clock.timed(part, getattr(owner, name), when))
