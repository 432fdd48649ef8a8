"""Completions whose rewards are known, and rows of them as the trainer writes them."""

import numpy as np

from rlvr.traces.schema import TraceRow

REWARD = "exact_number + 0.2*think_format"
RIGHT, BARE, WRONG, BARE_WRONG = (
    "<think>3+4</think><answer>7</answer>",
    "<answer>7</answer>",
    "<think>3+4</think><answer>8</answer>",
    "no answer",
)


def advantages_of_trl(rewards):
    """Of one group, as TRL has them: over the standard deviation with G - 1, in float32."""
    known = np.array([np.nan if reward is None else reward for reward in rewards], np.float32)
    std = np.nanstd(known, ddof=1)
    return [0.0 if np.isnan(each) else float((each - np.nanmean(known)) / (std + 1e-4)) for each in known]


def row(**changes):
    values = {
        "run": "r", "stage": "grpo", "split": "train", "env": "arithmetic", "step": 1, "group": 0, "sample": 0,
        "task_id": "t0", "task": {"question": "3+4", "answer": "7"}, "messages": [{"role": "user", "content": "3+4=?"}],
        "gold": RIGHT, "completion": RIGHT, "token_ids": [5, 6, 7], "logprobs": [-0.5] * 3, "finish_reason": "stop",
        "parts": {}, "errors": {}, "reward": None, "success": True, "seed": 1, "policy_version": 0, "prompt_tokens": 9,
        "sample_s": 0.5, "reward_s": 0.01, "time": 1.7e9,
    }  # fmt: skip
    return TraceRow(**{**values, **changes})


def group_rows(reward, texts, **place):
    """The rows of one group, scored and with advantages."""
    scores = reward.score_batch(texts, {"answer": ["7"] * len(texts)})
    found = advantages_of_trl([score.reward for score in scores])
    return [
        row(completion=text, parts=score.parts, errors=score.errors, reward=score.reward, sample=sample,
            advantage=advantage, **place)
        for sample, (text, score, advantage) in enumerate(zip(texts, scores, found, strict=True))
    ]  # fmt: skip
