"""Makes a folder with the real shape of a Qwen2.5 model and random weights, to measure without the hub.

python benchmarks/random_model.py 0.5B FOLDER          # 1.5B and 7B likewise; 2 bytes a weight on disk
rlvr run gsm8k-qwen2.5-0.5b --set model.path=FOLDER --set stage.grpo.steps=2 …

The tokenizer is a small one of our own with a chat template, under embeddings of the real size. Such a model hardly
ever ends a turn, so that every completion takes its whole budget: the worst case. It learns nothing worth having.
"""

import argparse
from pathlib import Path
from typing import Any

CONTEXT = 32_768
SHAPES = {
    "0.5B": {"hidden_size": 896, "intermediate_size": 4864, "layers": 24, "heads": 14, "kv_heads": 2, "vocab": 151_936},
    "1.5B": {
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "layers": 28,
        "heads": 12,
        "kv_heads": 2,
        "vocab": 151_936,
    },
    "7B": {
        "hidden_size": 3584,
        "intermediate_size": 18_944,
        "layers": 28,
        "heads": 28,
        "kv_heads": 4,
        "vocab": 152_064,
    },
}
TIED = ("0.5B", "1.5B")
"""Sizes whose head is the embedding itself; after the published configs of Qwen/Qwen2.5-*-Instruct."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("size", choices=SHAPES)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    make_random_model(args.size, args.folder)


def qwen2_config(size: str, **settings: Any) -> Any:
    """The config of one of `SHAPES`."""
    from transformers import Qwen2Config

    sizes = SHAPES[size]
    return Qwen2Config(
        vocab_size=sizes["vocab"],
        hidden_size=sizes["hidden_size"],
        intermediate_size=sizes["intermediate_size"],
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["heads"],
        num_key_value_heads=sizes["kv_heads"],
        tie_word_embeddings=size in TIED,
        **settings,
    )


def make_random_model(size: str, folder: Path, dtype: str = "bfloat16") -> None:
    """Saves model and tokenizer of one of `SHAPES` into a folder, by default in bfloat16 as the published ones are."""
    import torch
    from transformers import Qwen2ForCausalLM

    from rlvr.config.schema import ScratchConfig
    from rlvr.models.scratch import corpus, make_tokenizer
    from rlvr_envs import make

    texts = [text for name in ("arithmetic", "scheduling") for text in corpus(make(name), 0)]
    tokenizer: Any = make_tokenizer(texts, ScratchConfig(vocab_size=2048, context_length=CONTEXT))
    config = qwen2_config(
        size,
        max_position_embeddings=CONTEXT,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype=getattr(torch, dtype),
    )
    torch.manual_seed(0)
    previous = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        model = Qwen2ForCausalLM(config)
    finally:
        torch.set_default_dtype(previous)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    print(f"{folder}: {model.num_parameters():,} weights")


if __name__ == "__main__":
    main()
