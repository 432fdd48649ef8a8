"""Evaluating a policy: what is counted, what errors do, what is traced, and what the tables say."""

import time
from dataclasses import dataclass
from io import StringIO

import pytest
from rich.console import Console

pytest.importorskip("pyarrow")
pytest.importorskip("torch")

from rlvr.engine.sampling import Completion, FinishReason
from rlvr.evaluation.evaluate import Exam, evaluate, held_out_tasks
from rlvr.evaluation.policy import Answer, BaselinePolicy
from rlvr.evaluation.results import result_rows
from rlvr.evaluation.table import show_model, show_results
from rlvr.traces.store import TraceWriter, read_shard, shards
from rlvr.traces.summary import row_dicts
from rlvr_envs import make
from rlvr_rewards import UserError, reward, tokens_within

ENV = make("arithmetic?largest=9")


@reward
def fussy(completion: str) -> float:
    """Fails on every completion with an x, and is earned by the rest."""
    if "x" in completion:
        raise RuntimeError("no x, please")
    return 1.0


@reward
def sometimes(completion: str) -> float | None:
    """Applies where there is an a, and is earned there."""
    return 1.0 if "a" in completion else None


@dataclass
class Scripted:
    """Answers task after task from a list."""

    texts: list[str]
    temperature: float | None = 1.0

    def check(self, tasks):
        if "refuse" in self.texts:
            raise UserError("the prompt does not fit")

    def answer(self, tasks, num_samples):
        def one(text):
            return Answer(text, 7, Completion([1, 2], [-0.5, -0.25], FinishReason.LENGTH, 0.1), 5)

        return [[one(self.texts.pop(0)) for _ in range(num_samples)] for _ in tasks]


def exam_of(num_tasks=2, num_samples=1, reward=ENV.reward):
    return Exam(ENV, reward, "test", held_out_tasks(ENV, "test", num_tasks, 0), num_samples, 0, "probe")


def printed(show, width=80):
    out = StringIO()
    show(Console(file=out, width=width, markup=False))
    return out.getvalue()


def test_gold_scores_the_maximum_and_garbage_nothing():
    exam = exam_of()
    found = evaluate("gold", Scripted([ENV.gold(exam.tasks[0]), "garbage"]), exam)
    assert found.values["success"] == [[1.0], [0.0]]
    assert found.values["score"] == [[pytest.approx(1.2)], [0.0]]
    assert found.values["parts.correct"] == [[1.0], [0.0]]
    assert found.values["truncated"] == [[1.0], [1.0]]
    assert found.values["tokens"] == [[2.0], [2.0]]


def test_a_failed_part_is_reported_and_not_a_silent_zero():
    exam = exam_of(4, reward=fussy)
    found = evaluate("probe", Scripted(["x", "fine", "x", "x"]), exam)
    assert found.values["score"] == [[0.0], [1.0], [0.0], [0.0]]
    assert found.values["errors"] == [[1.0], [0.0], [1.0], [1.0]]
    rows = result_rows([found], exam, {}, ("score",))
    assert next(row["mean"] for row in rows if row["metric"] == "errors") == 0.75
    text = printed(lambda console: show_results(console, rows, [found], ("score",)))
    assert "75.0%" in text
    assert "warning: probe: in 75.0% of completions something failed" in text
    assert "no x, please" in text


def test_no_warning_without_errors():
    exam = exam_of()
    found = evaluate("probe", Scripted(["a", "b"]), exam)
    rows = result_rows([found], exam, {}, ())
    assert "warning" not in printed(lambda console: show_results(console, rows, [found], ("score",)))
    assert "errors" not in printed(lambda console: show_results(console, rows, [found], ("score",)))


def test_a_part_that_does_not_apply_is_left_out_of_its_mean():
    exam = exam_of(3, reward=fussy + sometimes)
    found = evaluate("probe", Scripted(["a", "b", "b"]), exam)
    assert found.values["parts.sometimes"] == [[1.0], [], []]
    row = next(r for r in result_rows([found], exam, {}, ()) if r["metric"] == "parts.sometimes")
    assert (row["mean"], row["n"]) == (1.0, 1)


def test_a_completion_to_which_no_part_applies_has_no_score():
    exam = exam_of(3, reward=sometimes)
    found = evaluate("probe", Scripted(["a", "b", "b"]), exam)
    assert found.values["score"] == [[1.0], [], []]
    assert found.values["errors"] == [[0.0]] * 3


def test_pass_at_k_comes_with_more_than_one_sample():
    exam = exam_of(1, num_samples=6)
    texts = [ENV.gold(exam.tasks[0]), *["wrong"] * 5]
    found = evaluate("probe", Scripted(texts), exam)
    passes = {metric: values for metric, values in found.values.items() if metric.startswith("pass@")}
    assert list(passes) == ["pass@2", "pass@4", "pass@6"]
    assert passes["pass@2"] == [[pytest.approx(1 / 3)]]
    assert passes["pass@6"] == [[1.0]]
    assert not any(m.startswith("pass@") for m in evaluate("one", Scripted(["a"]), exam_of(1)).values)


def test_every_number_of_the_info_is_a_metric():
    env = make("scheduling?tier=compact")
    exam = Exam(env, env.reward, "test", held_out_tasks(env, "test", 3, 0), 1, 0, "probe")
    found = evaluate("optimal", BaselinePolicy(env, "optimal", "test", 0), exam)
    assert found.values["optimum_ratio"] == [[1.0]] * 3
    assert "failure" not in found.values
    assert "tokens" not in found.values


def test_every_completion_is_traced_once_however_often_it_is_evaluated(tmp_path):
    exam, writer = exam_of(3, num_samples=2), TraceWriter(tmp_path, "random", "test")
    for _ in range(2):
        evaluate("random", BaselinePolicy(ENV, "random", "test", 0), exam, writer)
    (shard,) = shards(tmp_path)
    rows = row_dicts(read_shard(shard.path))
    assert [(row["group"], row["sample"]) for row in rows] == [(g, s) for g in range(3) for s in range(2)]
    assert {(row["stage"], row["split"], row["step"], row["kept"], row["advantage"]) for row in rows} == {
        ("random", "test", 0, True, None)
    }
    assert len({row["seed"] for row in rows}) == 6


def test_a_model_s_tokens_and_seed_are_on_the_trace(tmp_path):
    evaluate("m", Scripted(["a", "b"]), exam_of(), TraceWriter(tmp_path, "m", "test"), policy_version=9)
    row = row_dicts(read_shard(shards(tmp_path)[0].path))[0]
    assert (row["token_ids"], row["logprobs"], row["finish_reason"]) == ([1, 2], [-0.5, -0.25], "length")
    assert (row["prompt_tokens"], row["completion_tokens"], row["seed"], row["policy_version"]) == (5, 2, 7, 9)


def test_a_policy_that_refuses_leaves_no_trace(tmp_path):
    with pytest.raises(UserError, match="does not fit"):
        evaluate("m", Scripted(["refuse"]), exam_of(), TraceWriter(tmp_path, "m", "test"))
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_evaluation_leaves_no_trace(tmp_path):
    def stop(num_tasks):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate("m", Scripted(["a", "b"]), exam_of(), TraceWriter(tmp_path, "m", "test"), on_tasks=stop)
    assert list(tmp_path.iterdir()) == []


def test_tasks_are_sampled_in_chunks_and_none_is_lost():
    sizes = []
    env = make("arithmetic")
    exam = Exam(env, env.reward, "test", held_out_tasks(env, "test", 300, 0), 1, 0, "probe")
    found = evaluate("random", BaselinePolicy(env, "random", "test", 0), exam, on_tasks=sizes.append)
    assert len(sizes) > 1
    assert sum(sizes) == 300 == len(found.values["success"])
    assert all(len(samples) == 1 for samples in found.values["success"])


def test_results_have_the_columns_of_the_design_and_the_paired_differences():
    exam = exam_of(4)
    golds = [ENV.gold(task) for task in exam.tasks]
    texts = {"base": ["no"] * 4, "sft": [golds[0], "no", "no", "no"], "grpo": [*golds[:3], "no"]}
    found = [evaluate(stage, Scripted(list(answers)), exam) for stage, answers in texts.items()]
    rows = result_rows(found, exam, {"sft": "models/sft"}, ("success",))
    keys = ["stage", "model", "env", "split", "metric", "mean", "ci_low", "ci_high", "n"]
    assert all(list(row) == [*keys, "samples", "temperature", "seed"] for row in rows)
    means = {(row["stage"], row["metric"]): row["mean"] for row in rows}
    assert means["grpo", "success"] == 0.75
    assert means["grpo", "success-sft"] == 0.5
    assert means["grpo", "success-base"] == 0.75
    assert ("base", "success-sft") not in means
    assert {row["model"] for row in rows if row["stage"] == "sft"} == {"models/sft"}


@pytest.mark.parametrize("width", [80, 120])
def test_the_tables_fit_and_no_interval_breaks(width):
    exam = exam_of(2)
    found = [evaluate(name, Scripted(["a", "b"]), exam) for name in ("greedy_heuristic", "sft_continued", "grpo")]
    rows = result_rows(found, exam, {}, ("parts.correct", "score"))
    text = printed(lambda console: show_results(console, rows, found, ("parts.correct", "score")), width)
    assert max(map(len, text.splitlines())) <= width
    lines = [line for line in text.splitlines() if line.strip().startswith("grpo")]
    assert [line.count("…") for line in lines] == [2, 2]
    assert "+0.000 … +0.000" in lines[0]
    assert "2 tasks of arithmetic test, 1 sample each, temperature 1" in text


def test_a_metric_that_nobody_has_is_said():
    exam = exam_of()
    found = evaluate("m", Scripted(["a", "b"]), exam)
    rows = result_rows([found], exam, {}, ())
    text = printed(lambda console: show_results(console, rows, [found], ("sucess",)))
    assert "nothing has the metric 'sucess'" in text
    assert "success" in printed(lambda console: show_model(console, rows, found))


def test_an_empty_or_unknown_split_is_one_clear_line():
    with pytest.raises(UserError, match="no split 'tset'"):
        held_out_tasks(ENV, "tset", 5, 0)


def test_rewards_of_length_go_by_the_tokens_that_the_model_wrote():
    found = evaluate("m", Scripted(["one two three four", "a"]), exam_of(reward=tokens_within.using(most=2)))
    assert found.values["score"] == [[1.0], [1.0]]
    counted = evaluate("m", Counting(["one two three four", "a"]), exam_of(reward=tokens_within.using(most=8)))
    assert counted.values["score"] == [[0.0], [0.0]]


class Counting(Scripted):
    """A server's answers, of which it says nothing but how many tokens they have."""

    def answer(self, tasks, num_samples):
        return [[Answer(self.texts.pop(0), 7, counted_tokens=9) for _ in range(num_samples)] for _ in tasks]


@reward(runs="thread")
def waits(completion: str) -> float:
    """1.0, after a while."""
    time.sleep(0.1)
    return 1.0


def test_rewards_that_wait_are_waited_for_together():
    started = time.perf_counter()
    found = evaluate("policy", Scripted(["a"] * 40), exam_of(num_tasks=20, num_samples=2, reward=waits))
    assert time.perf_counter() - started < 2  # one after the other: 4 s
    assert found.values["score"] == [[1.0, 1.0]] * 20
