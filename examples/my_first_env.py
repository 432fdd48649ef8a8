"""A first environment: a word to spell backwards.

python examples/my_first_env.py
rlvr play --env examples/my_first_env.py:Backwards
"""

from dataclasses import dataclass
from itertools import islice
from random import Random

from rlvr_envs import GeneratedEnvironment, Message, Task
from rlvr_rewards import exact_text


@dataclass(frozen=True)
class Backwards(GeneratedEnvironment):
    name = "backwards"
    columns = ("word", "answer")
    reward = exact_text.named("correct")
    num_letters: int = 5

    def draw(self, random: Random) -> Task:
        word = "".join(random.choices("abcdefghij", k=self.num_letters))
        return {"word": word, "answer": word[::-1]}

    def messages(self, task: Task) -> list[Message]:
        return [{"role": "user", "content": f"Spell {task['word']} backwards, between <answer> and </answer>."}]

    def gold(self, task: Task) -> str:
        return f"<answer>{task['answer']}</answer>"

    def success(self, task: Task, completion: str) -> bool:
        return exact_text(completion, task["answer"]) == 1.0


if __name__ == "__main__":
    backwards = Backwards()
    for row in islice(backwards.rows("train", seed=0), 3):
        print(row["word"], backwards.score(row, backwards.gold(row)).parts, backwards.success(row, row["word"]))
