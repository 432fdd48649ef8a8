"""A small run, always the same: groups, parts, an error, thoughts, CJK, escapes, tool turns, a shard cut short."""

import json

from rlvr.traces.schema import TraceRow
from rlvr.traces.store import Shard, TraceWriter

STEPS = 6
GROUP_SIZE = 8
NUM_GROUPS = 5
TOKENS = [
    "<think>",
    "</think>",
    "<answer>",
    "</answer>",
    "<eos>",
    *"0123456789+-*/=()?.,:ISW \n",
    *"abcdefghijklmnopqrstuvwxyz",
]
EOS = 4


def make_golden(folder, steps=STEPS):
    """Writes the run into a folder, which must not be there."""
    traces = folder / "traces"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text('[[stage]]\nkind = "sft"\n[[stage]]\nkind = "grpo"\n')
    for step in range(1, steps + 1):
        TraceWriter(traces, "grpo", "train").write(step, step_rows(step))
    TraceWriter(traces, "evaluate-grpo", "test").write(0, [sample_of(0, group, 0, "test") for group in range(8)])
    Shard.of(traces, "grpo", "train", steps + 1).path.write_bytes(b"PAR1 cut short")
    _write_metrics(folder, steps)
    _write_manifest(folder)
    _write_tokenizer(folder / "models" / "grpo")
    return folder


def step_rows(step):
    rows = [sample_of(step, group, sample) for group in range(NUM_GROUPS) for sample in range(GROUP_SIZE)]
    for group in range(NUM_GROUPS):
        with_advantages(rows[group * GROUP_SIZE : (group + 1) * GROUP_SIZE])
    return rows


def sample_of(step, group, sample, split="train"):
    """One completion; what it says follows from its numbers alone."""
    a, b = 10 + group * 7, 3 + (5 * group) % 9
    text, is_right, finish = _text(step, group, sample, a, b)
    failed = group == 1 and sample == 5
    parts = {"correct": None if failed else float(is_right), "format": 1.0 if "</answer>" in text else 0.25}
    errors = {"correct": "ValueError: no number in 'sämple'"} if failed else {}
    token_ids, logprobs = _tokens(text)
    return TraceRow(
        run="golden",
        stage="grpo" if split == "train" else "evaluate-grpo",
        split=split,
        env="arithmetic",
        step=step,
        group=group,
        sample=sample,
        task_id=f"{a}+{b}" if group else "10+3",
        task={"question": f"{a}+{b}", "answer": str(a + b)},
        messages=[
            {"role": "system", "content": "Think, then answer in <answer> tags."},
            {"role": "user", "content": f"What is {a}+{b}?"},
        ],
        gold=f"<think></think><answer>{a + b}</answer>",
        completion=text,
        token_ids=token_ids,
        logprobs=logprobs,
        entropies=[-p * 0.8 for p in logprobs],
        alternatives=None if sample % 2 else [_others(*token) for token in zip(token_ids, logprobs, strict=True)],
        finish_reason=finish,
        parts=parts,
        errors=errors,
        reward=None if failed else 2 * float(is_right) + 0.5 * parts["format"],
        success=None if failed else is_right,
        kept=not failed,
        why_not_kept="a part failed" if failed else None,
        info={"parsed": str(a + b)} if is_right else {},
        seed=1000 * step + 10 * group + sample,
        policy_version=step - 1,
        prompt_tokens=21,
        sample_s=0.5,
        reward_s=0.01,
        time=1.7e9 + step,
        turns=_TURNS if group == 3 and sample == 2 else None,
    )


_TURNS = [
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"function": {"name": "calculator", "arguments": '{"expression": "31+3"}'}}],
    },
    {"role": "tool", "name": "calculator", "content": "34"},
    {"role": "assistant", "content": "It is 34."},
]


def _text(step, group, sample, a, b):
    is_right = (sample * 3 + group * 5 + step * 2) % 8 < step
    answer = a + b if is_right else a + b + sample + 1
    if group == 2 and sample == 3:
        return (
            f"<think>今日は良い天気です。{a} と {b} を足すと {answer} 🙂</think><answer>{answer}</answer>",
            is_right,
            "stop",
        )
    if group == 2 and sample == 4:
        return (
            f"<think>red:\x1b[31m bell:\x07 right-to-left:\u202e{a}</think><answer>{answer}</answer>",
            is_right,
            "stop",
        )
    if group == 2 and sample == 5:
        return f"<think>שלום عالم {a}+{b}</think><answer>{answer}</answer>", is_right, "stop"
    if sample == 7:
        return "<think>" + f"let me see, {a} and {b}, wait, no. " * 8, False, "length"
    if sample == 6:
        return f"it is {answer}", is_right, "stop"
    thought = f"{a}+{b}: first {a}+{b - 1}={a + b - 1}, then one more is {answer}."
    return f"<think>{thought}\nso the answer is {answer}.</think>\n<answer>{answer}</answer>", is_right, "stop"


def with_advantages(rows):
    known = [row.reward for row in rows if row.reward is not None]
    mean = sum(known) / len(known)
    spread = (sum((reward - mean) ** 2 for reward in known) / len(known)) ** 0.5
    for row in rows:
        row.advantage = 0.0 if row.reward is None else (row.reward - mean) / (spread + 1e-4)


def _tokens(text):
    """Ids and log-probs; a character that the vocabulary lacks is left to a made-up id, so that nothing spells it."""
    ids, at = [], 0
    while at < len(text):
        token = next((token for token in TOKENS if text.startswith(token, at)), None)
        ids.append(TOKENS.index(token) if token else len(TOKENS) + 1)
        at += len(token or text[at])
    ids.append(EOS)
    return ids, [-((place * 37 % 50) ** 2) / 500 for place in range(len(ids))]


def _others(token, logprob):
    return [((token + more) % len(TOKENS), logprob - more) for more in (1, 2)]


def _write_metrics(folder, steps):
    lines = [
        {
            "stage": "grpo",
            "step": step,
            "reward": step / 4,
            "kl": 0.01 * step,
            "entropy": 2.0 - step / 5,
            "sampler_gap": 0.002,
            "completions/clipped_ratio": 0.125,
            "loss": 0.1 / step,
            "grad_norm": 1 + step % 3,
            "learning_rate": 2e-4,
        }
        for step in range(1, steps + 1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def _write_manifest(folder):
    stages = [{"name": "sft", "status": "done"}, {"name": "grpo", "status": "done"}]
    (folder / "manifest.json").write_text(json.dumps({"stages": stages}))


def _write_tokenizer(folder):
    blank = {" ": "Ġ", "\n": "Ċ"}
    vocab = {"".join(blank.get(sign, sign) for sign in token): number for number, token in enumerate(TOKENS)}
    added = [{"id": number, "content": TOKENS[number], "special": number == EOS} for number in range(5)]
    folder.mkdir(parents=True)
    content = {"model": {"type": "BPE", "vocab": vocab}, "added_tokens": added, "decoder": {"type": "ByteLevel"}}
    (folder / "tokenizer.json").write_text(json.dumps(content))
