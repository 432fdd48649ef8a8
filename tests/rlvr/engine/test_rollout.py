"""A step's rows before and after sampling: what rewards are handed of the tasks."""

from rlvr.engine.rollout import Origin, Rollout
from rlvr_rewards import reward


@reward
def hinted(completion: str, task: dict, hint: str = "none") -> float:
    return float(hint == task.get("hint", "none") == "x")


def test_a_column_that_only_some_tasks_have_reaches_their_rewards():
    tasks = [{"q": "1", "hint": "x"}, {"q": "2"}]
    rollout = Rollout(Origin("run", "grpo", 0), 1, tasks, ["a", "b"], [0, 1], [0, 0], [1, 2])
    together = hinted.score_batch(["", ""], rollout.columns())
    assert together == [hinted.score("", **task) for task in tasks]
    assert [score.reward for score in together] == [1.0, 0.0]


def test_a_batch_function_gets_none_where_a_task_lacks_the_column():
    def of_trl(completions, hint, **_):
        return [0.0 if value is None else 1.0 for value in hint]

    rollout = Rollout(Origin("run", "grpo", 0), 1, [{"q": "1"}, {"hint": "x"}], ["a", "b"], [0, 1], [0, 0], [1, 2])
    assert [score.reward for score in reward(of_trl).score_batch(["", ""], rollout.columns())] == [0.0, 1.0]
