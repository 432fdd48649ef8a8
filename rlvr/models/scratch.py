"""A small model from nothing: a byte-level BPE tokenizer made for the environment, and a Qwen3-shaped network.

It is saved as an ordinary Hugging Face folder. The tokenizer follows the rules under which llama.cpp can load it later:
GPT-2 pre-tokenization, no normalizer, no unknown token, and end-of-turn as the end-of-sequence token.
Digits never merge, so that a number is always read digit by digit. Tags of the gold completions (`<think>`,
`</answer>`) are one token each, as `<think>` is in Qwen3.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr.config.schema import ScratchConfig
from rlvr_envs import Environment
from rlvr_envs.seeds import derive_seed
from rlvr_rewards.row import turns_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_CORPUS_TASKS = 500
_TAG = re.compile(r"</?[a-z]{1,20}>")
_WITHOUT_DIGITS = str.maketrans("0123456789", " " * 10)


def make_scratch_model(
    folder: Path, config: ScratchConfig, env: Environment, seed: int
) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    """Makes model and tokenizer for an environment and saves them into `folder`.

    The tokenizer is trained on the prompts and golds of 500 training tasks of each environment; the weights depend on
    `seed` alone.
    """
    from transformers import set_seed

    set_seed(derive_seed(seed, stage="scratch") % 2**32)
    tokenizer = make_tokenizer(list(corpus(env, seed)), config)
    model = make_network(config, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


def corpus(env: Environment, seed: int) -> Iterator[str]:
    """The texts that the tokenizer learns its merges from, with digits taken out."""
    for task in (task for rows in env.streams("train", seed).values() for task in islice(rows, _CORPUS_TASKS)):
        for message in [*env.messages(task), *turns_of(env.gold(task))]:
            yield f"{message['role']}\n{message['content']}".translate(_WITHOUT_DIGITS)


def make_tokenizer(texts: Sequence[str], config: ScratchConfig) -> "PreTrainedTokenizerBase":
    """A byte-level BPE tokenizer with ChatML turns, whose end-of-turn token ends the sequence."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        special_tokens=[PAD, START, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    core.add_tokens([AddedToken(tag, normalized=False) for tag in _tags(texts)])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[START],
        chat_template=CHAT_TEMPLATE,
        model_max_length=config.context_length,
        clean_up_tokenization_spaces=False,
    )


def _tags(texts: Sequence[str]) -> list[str]:
    """The tags that assistants' turns hold, such as `<think>` and `</think>`, sorted."""
    answers = [text for text in texts if text.startswith("assistant\n")]
    return sorted({tag for text in answers for tag in _TAG.findall(text)})


def make_network(config: ScratchConfig, tokenizer: Any) -> "PreTrainedModel":
    """A Qwen3 network with random float32 weights."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=-(-len(tokenizer) // 32) * 32,  # a multiple of 32, as quantization wants
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_kv_heads,
            head_dim=config.hidden_size // config.num_heads,
            max_position_embeddings=config.context_length,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=int(tokenizer.eos_token_id),
            pad_token_id=int(tokenizer.pad_token_id),
        )
    )
