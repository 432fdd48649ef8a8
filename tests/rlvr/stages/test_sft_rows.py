"""What SFT computes on given rows: packed as unpacked, and of many turns the assistant's alone."""

import json
import math
import shutil

import pytest
import torch

pytest.importorskip("trl", reason="needs the train extra")

from rlvr.cli import main
from rlvr.config.schema import ModelConfig
from rlvr.data.tokens import IGNORED
from rlvr.models.load import load_model, load_tokenizer

CONFIG = """
[env]
name = "arithmetic"
[[stage]]
kind = "sft"
data = "ROWS"
steps = 1
"""
MARKED = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
PAIRS = [{"prompt": f"{n} and {n * n}?", "completion": "It is " + "so " * n} for n in range(1, 8)]
TALKS = [
    {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": f"{n}+1?"},
            {"role": "assistant", "content": str(n + 1)},
            {"role": "user", "content": "and one more, please?"},
            {"role": "assistant", "content": f"That is {n + 2}."},
        ]
    }
    for n in (3, 40)
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_model):
    """Trains on rows; gives the lines of metrics and the folder of the run's model from nothing."""
    folder = tmp_path_factory.mktemp("rows")

    def train(name, rows, *sets):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / f"{name}.toml").write_text(tiny_model + CONFIG.replace("ROWS", str(folder / f"{name}.jsonl")))
        command = ["run", str(folder / f"{name}.toml"), "--run-dir", str(folder / name)]
        assert main([*command, *(part for each in sets for part in ("--set", each))]) == 0
        lines = (folder / name / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines], folder / name / "models/base"

    return train


def first_loss(trained, name, *sets):
    lines, _ = trained(name, PAIRS, *sets)
    return lines[0]["loss"]


def test_a_packed_row_has_the_loss_of_its_examples(trained):
    """Told apart by their positions, none sees another; laid end to end (`wrapped`) they do."""
    alone = first_loss(trained, "alone", "stage.sft.batch_size=7")
    packed = ("stage.sft.batch_size=1", "stage.sft.trl.packing=true")
    assert first_loss(trained, "packed", *packed) == pytest.approx(alone, abs=1e-5)
    wrapped = first_loss(trained, "wrapped", *packed, "stage.sft.trl.packing_strategy=wrapped")
    assert abs(wrapped - alone) > 1e-4


def test_of_many_turns_the_assistants_alone_are_learned(trained, tmp_path):
    _, base = trained("first", PAIRS, "stage.sft.batch_size=7")
    model = tmp_path / "marked"
    shutil.copytree(base, model)
    (model / "chat_template.jinja").write_text(MARKED)
    sets = ("stage.sft.learn=assistant", "stage.sft.batch_size=2", "stage.sft.steps=3", f"model.path={model}")
    lines, _ = trained("talks", TALKS, *sets)
    assert [line["step"] for line in lines] == [1, 2, 3] and lines[2]["loss"] < lines[0]["loss"]
    assert lines[0]["loss"] == pytest.approx(by_hand(model), abs=1e-5)


def by_hand(folder):
    """The mean loss of the assistant's tokens, ends of turns among them."""
    config = ModelConfig(path=str(folder))
    model, tokenizer = load_model(config.path, config).eval(), load_tokenizer(config.path, config)
    losses = []
    for talk in TALKS:
        made = tokenizer.apply_chat_template(talk["messages"], return_dict=True, return_assistant_tokens_mask=True)
        ids, mask = made["input_ids"], made["assistant_masks"]
        said = tokenizer.decode([token for token, kept in zip(ids, mask, strict=True) if kept])
        assert said == "".join(m["content"] + "<|im_end|>" for m in talk["messages"] if m["role"] == "assistant")
        labels = torch.tensor([token if kept else IGNORED for token, kept in zip(ids, mask, strict=True)])
        with torch.no_grad():
            logits_TV = model(torch.tensor([ids])).logits[0, :-1]
        each = torch.nn.functional.cross_entropy(logits_TV, labels[1:], ignore_index=IGNORED, reduction="none")
        losses += each[labels[1:] != IGNORED].tolist()
    assert math.isfinite(sum(losses))
    return sum(losses) / len(losses)
