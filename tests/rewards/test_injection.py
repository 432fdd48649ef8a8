"""What a reward function is handed, and what is said where it cannot be."""

import functools

import pytest

from rlvr_rewards import UserError, reward


@reward
def wants_answer(completion: str, answer: str) -> float:
    return float(answer in completion)


def test_parameters_are_filled_by_name_whatever_their_order():
    @reward
    def mixed(answer, prompt, completion, task) -> float:
        return float((answer, prompt, completion, task) == ("7", "3+4", "it is 7", {"answer": "7", "prompt": "3+4"}))

    assert mixed.score("it is 7", answer="7", prompt="3+4").reward == 1.0


def test_a_missing_column_is_an_error_that_names_it_and_those_present():
    score = wants_answer.score("7", question="3+4?", level=2)
    assert score.reward is None
    assert score.parts == {"wants_answer": None}
    message = score.errors["wants_answer"]
    assert "'answer'" in message
    assert "level, question" in message


def test_columns_that_trl_adds_are_not_offered_as_columns():
    values = wants_answer(prompts=["p"], completions=["7"], completion_ids=[[1]], trainer_state=None, question=["q"])
    assert values == [None]
    shared = {"trainer_state": None, "log_metric": print, "completion_ids": [[1]]}
    assert wants_answer.score_batch(["7"], {"question": ["q"]}, shared)[0].errors["wants_answer"].endswith("question")


def test_a_default_stands_in_for_an_absent_column():
    @reward
    def with_default(completion, bonus=0.25) -> float:
        return bonus

    assert with_default.score("x").reward == 0.25
    assert with_default.score("x", bonus=0.75).reward == 0.75


def test_a_setting_is_never_filled_from_the_row_and_is_changed_by_using():
    @reward
    def with_setting(completion, *, size=0.25) -> float:
        return size

    assert with_setting.score("x", size=0.75).reward == 0.25
    assert with_setting.using(size=0.5).score("x", size=0.75).reward == 0.5
    assert with_setting.score("x").reward == 0.25, "using must not change the original"
    assert with_setting.using(size=0.5)("x") == 0.5


def test_a_setting_is_not_filled_from_the_row_even_where_the_function_takes_everything():
    @reward
    def greedy(completion, *, size=0.25, **columns) -> float:
        return size if columns["other"] == 1 else 0.0

    assert greedy.score("x", size=0.75, other=1).reward == 0.25


def test_a_required_column_is_missed_also_where_the_function_takes_everything():
    @reward
    def greedy(completion, answer, **columns) -> float:
        return 1.0

    assert "no column 'answer'" in greedy.score("x", question="q").errors["greedy"]


def test_an_unknown_setting_offers_the_nearest():
    from rlvr_rewards.library.number import tolerant_number

    with pytest.raises(UserError, match="did you mean 'absolute'"):
        tolerant_number.using(absolut=1.0)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"form": "box"}, "did you mean 'boxed'"),
        ({"rel": "a lot"}, "write one like 0.01"),
        ({"tag": 3}, "like 'answer'"),
    ],
)
def test_a_setting_of_the_wrong_kind_is_refused_at_once(settings, says):
    from rlvr_rewards.library.number import tolerant_number

    with pytest.raises(UserError, match=says):
        tolerant_number.using(**settings)


def test_the_task_is_the_whole_row_even_where_a_column_is_called_task():
    @reward
    def reads_task(task) -> float:
        return float(task == {"task": "sort", "answer": "7"})

    assert reads_task.score("x", task="sort", answer="7").reward == 1.0


def test_messages_arrive_as_the_text_of_the_assistant():
    @reward
    def says_seven(completion: str) -> float:
        return float(completion == "seven")

    chat = [{"role": "assistant", "content": [{"type": "text", "text": "seven"}]}, {"role": "tool", "content": "8"}]
    assert says_seven.score(chat).reward == 1.0


@pytest.mark.parametrize("completion", [None, 7, {"content": "x"}, ["x"]])
def test_a_completion_that_is_neither_text_nor_messages_is_refused(completion):
    with pytest.raises(UserError, match="a completion is text or a list of chat messages"):
        wants_answer.score(completion, answer="7")


def test_a_column_of_another_length_is_refused_by_name():
    with pytest.raises(UserError, match="'answer' has 1 values for 2 completions"):
        wants_answer.score_batch(["a", "b"], {"answer": ["7"]})


def test_functions_that_cannot_be_injected_are_refused_when_made():
    def hidden(completion, /):
        return 1.0

    with pytest.raises(UserError, match="remove the /"):
        reward(hidden)
    with pytest.raises(UserError, match="a reward already"):
        reward(wants_answer)
    with pytest.raises(UserError, match="is above"):
        reward(low=1.0, high=0.0)(lambda completion: 1.0)


def test_a_partial_is_called_what_its_function_is_called():
    def sized(completion, size):
        return size

    assert reward(functools.partial(sized, size=0.5)).score("x").parts == {"sized": 0.5}


def test_the_number_of_tokens_is_known_wherever_their_ids_are():
    @reward(high=9.0)
    def counted(completion: str, num_tokens: int = 0) -> float:
        return float(num_tokens)

    assert counted(prompts=["p", "p"], completions=["a b", "c"], completion_ids=[[5, 6, 7], [8]]) == [3.0, 1.0]
    assert counted.score("a b", completion_ids=[5, 6]).reward == 2.0
    assert counted.score("a b", num_tokens=4).reward == 4.0
    assert counted.score("a b").reward == 0.0
