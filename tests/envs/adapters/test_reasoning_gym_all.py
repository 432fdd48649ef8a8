"""Every dataset of reasoning-gym as an environment: what ours gives is what its own scorer gives, on 20 rows each."""

import json
from itertools import islice

import pytest

from rlvr_envs import make
from rlvr_envs.adapters.reasoning_gym.entries import gold_answer
from rlvr_envs.adapters.reasoning_gym.plain import may_be_evaluated
from rlvr_envs.collection import COLLECTIONS

reasoning_gym = pytest.importorskip("reasoning_gym")

NUM_ROWS = 20
MOST_NOT_SHOWN = 0.05
COLLECTION = COLLECTIONS.get("reasoning_gym")
WITHOUT_GOLD = {"boxnet", "rush_hour"}
NAMES = [name for name in COLLECTION.about() if name != "composite"]  # it is made of others, and none are its default

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def attempts(entries):
    """For each entry: its own answer, the next one's, and its own spoilt."""
    golds = [gold_answer(entry) for entry in entries]
    for entry, gold, other in zip(entries, golds, golds[1:] + golds[:1], strict=True):
        for text in (gold, other, f"{gold} x", gold[: len(gold) // 2], "1", "True"):
            if text.strip() and "<" not in text:
                yield entry, text.strip()


def own_value(dataset, entry, text):
    try:
        return min(1.0, float(dataset.score_answer(text, entry)))
    except Exception:
        return 0.0


def test_scores_agree_with_its_own_scorer_on_20_rows_of_every_dataset(capsys):
    num_scores, not_shown, differ = 0, 0, []
    for name in NAMES:
        dataset = reasoning_gym.create_dataset(name, seed=7, size=NUM_ROWS)
        pairs = list(attempts([dataset[index] for index in range(NUM_ROWS)]))
        rows = [json.loads(json.dumps(entry)) for entry, _ in pairs]
        columns = {column: [row[column] for row in rows] for column in ("question", "answer", "metadata")}
        texts = [f"<think>a thought</think><answer>{text}</answer>" for _, text in pairs]
        scores = make(f"reasoning_gym/{name}").reward.score_batch(texts, columns)
        for (entry, text), score in zip(pairs, scores, strict=True):
            own = own_value(dataset, entry, text)
            num_scores += 1
            if not may_be_evaluated(name, text):  # it would run the text; whatever it pays for that is little
                not_shown += 1
                assert own <= MOST_NOT_SHOWN, (name, text, own)
                own = 0.0
            if own != score.parts["correct"]:
                differ.append((name, text, own, score))
    with capsys.disabled():
        print(
            f"\nreasoning-gym: {num_scores} scores, on {NUM_ROWS} rows of each of {len(NAMES)} datasets: {len(differ)} "
            f"differ from its own scorer's, {not_shown} more are 0 for text that it would have evaluated"
        )
    assert not differ, f"{len(differ)} differ: {differ[:10]}"
    assert len(NAMES) == 105


def test_every_dataset_gives_rows_whose_gold_earns_everything():
    for name in NAMES:
        env = make(f"reasoning_gym/{name}")
        if name in WITHOUT_GOLD:
            continue
        tasks = list(islice(env.rows("train", 0), 5))
        for task in tasks:
            score = env.score(task, env.gold(task))
            assert (score.reward, score.errors) == (env.reward.max, {}), name
            assert env.success(task, env.gold(task)), name
            assert env.split_of(task) == "train", name
        assert list(islice(make(f"reasoning_gym/{name}").rows("train", 0), 5)) == tasks, name
        assert tasks, name
