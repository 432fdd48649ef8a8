"""A step's rows before and after sampling: what rewards are handed of the tasks."""

from rlvr.engine.new_rollout import new_rollout
from rlvr.engine.rollout import Origin
from rlvr_envs.seeds import canonical_json
from rlvr_rewards import reward


@reward
def hinted(completion: str, task: dict, hint: str = "none") -> float:
    return float(hint == task.get("hint", "none") == "x")


def rollout_of(*tasks):
    inputs = [{"task": canonical_json(task), "task_id": str(number)} for number, task in enumerate(tasks)]
    return new_rollout(inputs, range(len(tasks)), Origin("run", "grpo", 0), step=1)


def test_a_column_that_only_some_tasks_have_reaches_their_rewards():
    tasks = [{"q": "1", "hint": "x"}, {"q": "2"}]
    together = hinted.score_batch(["", ""], rollout_of(*tasks).columns())
    assert together == [hinted.score("", **task) for task in tasks]
    assert [score.reward for score in together] == [1.0, 0.0]


def test_a_batch_function_gets_none_where_a_task_lacks_the_column():
    def of_trl(completions, hint, **_):
        return [0.0 if value is None else 1.0 for value in hint]

    columns = rollout_of({"q": "1"}, {"hint": "x"}).columns()
    assert [score.reward for score in reward(of_trl).score_batch(["", ""], columns)] == [0.0, 1.0]
