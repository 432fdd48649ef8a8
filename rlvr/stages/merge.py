"""`merge`: the adapters that a stage left, added to the weights of their base: an ordinary model's folder.

What is saved is opened again and compared with the model that still had its last adapter beside it, on real prompts;
where that adapter is QLoRA's, the merged model also with the 4-bit one that was trained.
"""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from rlvr.config.schema import RunConfig, StageConfig
from rlvr.failure import WorkError
from rlvr.pipeline.stage import Stage, StageResult
from rlvr.pipeline.trained_weights import starts_from_adapter
from rlvr_rewards.errors import UserError
from rlvr_rewards.row import completion_text

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from rlvr.models.merge import Merge
    from rlvr.pipeline.run import Run


class MergeStageConfig(StageConfig):
    """Settings of `merge`.

    Attributes:
        num_prompts: Training tasks, with their golds, on which logits are compared.
    """

    lora: ClassVar[None] = None
    """What it leaves has no adapter, for the stages after it that ask."""

    num_prompts: int = Field(default=16, ge=1)


class MergeStage(Stage):
    """Merges, checks, and saves the whole model with its tokenizer, chat template and generation config."""

    kind = "merge"
    Config = MergeStageConfig
    uses_reward = False

    @classmethod
    def check(cls, config: MergeStageConfig, run: RunConfig) -> None:
        if starts_from_adapter(config, run) is False:
            raise _nothing_to_merge(config)

    @classmethod
    def plan(cls, config: MergeStageConfig) -> str:
        return f"adapters into their base, logits compared on {config.num_prompts} prompts"

    @classmethod
    def run(cls, config: MergeStageConfig, run: "Run") -> StageResult:
        from rlvr.models.load import load_tokenizer
        from rlvr.models.merge import logprobs_of
        from rlvr.replacing import new_folder

        tokenizer = load_tokenizer(run.model_before(config), run.config.model)
        texts = _texts(config, run, tokenizer)
        trained = _as_trained(config, run, texts)
        model, merges = _merged(config, run, texts)
        wanted = logprobs_of(model, texts)
        numbers = _numbers(merges) | (_beside_trained(trained, wanted, merges[-1], config, run) if trained else {})
        folder = run.folder.models / config.name
        with new_folder(folder) as target:
            model.save_pretrained(target)
            tokenizer.save_pretrained(target)
            del model  # so that never two models are held
            _check_saved(target, texts, wanted, config, run)
        return StageResult(folder, numbers)


def _merged(config: MergeStageConfig, run: "Run", texts: list[list[int]]) -> "tuple[PreTrainedModel, list[Merge]]":
    """The model with all adapters merged, on the GPU where there is one, and what each changed."""
    from rlvr.models.load import open_chain
    from rlvr.models.merge import merge_measured

    model, adapters = open_chain(run.model_before(config), run.config.model)
    if not adapters:
        raise _nothing_to_merge(config)
    merges = []
    for model, merge in merge_measured(_on_device(model), adapters, texts):  # noqa: B020 - the same model, merged further
        merges.append(_checked(merge, model, config, run))
    return model, merges


def _as_trained(config: MergeStageConfig, run: "Run", texts: list[list[int]]) -> "list[torch.Tensor]":
    """The log-probs of the model that QLoRA trained last, in 4 bits; none where the last adapter is another's."""
    from rlvr.models.adapters import trained_in_4_bits
    from rlvr.models.load import open_as_trained
    from rlvr.models.merge import logprobs_of

    path = run.model_before(config)
    return logprobs_of(_on_device(open_as_trained(path, run.config.model)), texts) if trained_in_4_bits(path) else []


def _beside_trained(
    trained: "list[torch.Tensor]", merged: "list[torch.Tensor]", last: "Merge", config: MergeStageConfig, run: "Run"
) -> dict[str, float]:
    """Shows how far the merged model is from the one that was trained on 4-bit weights, and measures it.

    Raises:
        WorkError: By more than 4 bits may cost.
    """
    from rlvr.models.merge import TOLERANCE_4BIT, agreement, mean_kl

    gap, name = mean_kl(trained, merged), Path(last.path).name
    if not gap <= TOLERANCE_4BIT:  # also where it is no number
        raise WorkError(
            f"stage {config.name}: {name} was trained on 4-bit weights, and merged into whole ones it is another "
            f"model: mean KL {gap:.1e} nats a token, over {TOLERANCE_4BIT:g}: train {name} without qlora"
        )
    run.console.print(
        f"[dim]{config.name}: from {name} as it was trained, on 4-bit weights, the merged model is {gap:.1e} nats a "
        f"token (at most {TOLERANCE_4BIT:g}); same first choice {agreement(trained, merged):.1%}[/]"
    )
    if gap > last.effect / 2:
        run.warn(f"{config.name}: leaving the 4 bits changes as much as {name} does: evaluate the merged model")
    return {"trained_kl": gap}


def _on_device(model: "PreTrainedModel") -> "PreTrainedModel":
    import torch

    return model.to("cuda") if torch.cuda.is_available() else model  # pyright: ignore[reportArgumentType]


def _nothing_to_merge(config: MergeStageConfig) -> UserError:
    return UserError(
        f"stage {config.name}: the model that it starts from has no adapter: drop this stage, train one before it "
        "([stage.lora]), or name a stage that has one (start)"
    )


def _texts(config: MergeStageConfig, run: "Run", tokenizer: "PreTrainedTokenizerBase") -> list[list[int]]:
    """Token ids of prompts with their golds."""
    from rlvr.models.chat import prompt_ids

    tasks = islice(run.env.rows("train", run.seed(stage=config.name)), config.num_prompts)
    return [
        [
            *prompt_ids(tokenizer, run.env.messages(task)),
            *tokenizer.encode(completion_text(run.env.gold(task)), add_special_tokens=False),
        ]
        for task in tasks
    ]


def _checked(merge: "Merge", model: "PreTrainedModel", config: MergeStageConfig, run: "Run") -> "Merge":
    """Shows what one adapter's merging changed; refuses a model that is not what the adapter made it.

    Raises:
        WorkError: It is not, by more than rounding.
    """
    from rlvr.models.merge import TOLERANCE

    dtype = str(model.dtype).removeprefix("torch.")
    name, limit = Path(merge.path).name, TOLERANCE.get(dtype, TOLERANCE["bfloat16"])
    if not merge.gap <= limit:  # also where it is no number
        raise WorkError(
            f"stage {config.name}: with {name} merged the model is not what it was with the adapter: mean KL "
            f"{merge.gap:.1e} nats a token, over {limit:g} for {dtype}: set model.dtype to float32, or train it anew"
        )
    run.console.print(
        f"[dim]{config.name}: {name} merged in {dtype}: it moves its base by {merge.effect:.1e} nats a token, and "
        f"merging moves that by {merge.gap:.1e} (at most {limit:g}); same first choice {merge.agreement:.1%}[/]"
    )
    if merge.gap > max(merge.effect, 1e-9) / 2:
        run.warn(
            f"{config.name}: rounding to {dtype} changes as much as {name} does, which is little: its learning "
            'may be lost in it; model.dtype = "float32" keeps it'
        )
    return merge


def _check_saved(
    folder: Path, texts: list[list[int]], wanted: "list[torch.Tensor]", config: MergeStageConfig, run: "Run"
) -> None:
    """Opens what was written, and compares.

    Raises:
        WorkError: It answers otherwise than what was saved.
    """
    from rlvr.models.load import load_model
    from rlvr.models.merge import TOLERANCE, logprobs_of, mean_kl

    gap = mean_kl(wanted, logprobs_of(_on_device(load_model(str(folder), run.config.model)), texts))
    if not gap <= TOLERANCE["float32"]:
        raise WorkError(f"stage {config.name}: the saved model is not the merged one: mean KL {gap:.1e} nats a token")


def _numbers(merges: list["Merge"]) -> dict[str, Any]:
    return {
        "adapters": len(merges),
        "effect_kl": sum(merge.effect for merge in merges),
        "merge_kl": max(merge.gap for merge in merges),
    }
