"""Small environments whose answers are of the kinds that the library of rewards reads: records, lists, names, texts."""

import json
from dataclasses import dataclass

from rlvr_envs import GeneratedEnvironment
from rlvr_rewards import exact_json, exact_list, exact_text, rouge

ANIMALS = ("duck", "cow", "horse", "sheep", "goat", "hen", "cat", "dog", "mouse", "fox", "frog", "bee")
PLACES = ("pond", "meadow", "barn", "river", "forest", "garden")
VERBS = ("sleeps", "waits", "sings", "hides", "swims", "dances")


class Told(GeneratedEnvironment):
    """Gold is the answer in a tag, behind a thought."""

    columns = ("question", "answer")

    def messages(self, task):
        return [{"role": "user", "content": task["question"]}]

    def written(self, task):
        return task["answer"]

    def gold(self, task):
        return f"<think>Let me see.</think>\n<answer>{self.written(task)}</answer>"

    def success(self, task, completion):
        return self.reward.score(completion, **task).reward == 1.0


@dataclass(frozen=True)
class Records(Told):
    """An animal as a JSON record."""

    name = "records"
    reward = exact_json

    def draw(self, random):
        animal, place = random.choice(ANIMALS), random.choice(PLACES)
        record = {"name": animal, "legs": random.randint(2, 900), "place": place, "likes": random.sample(ANIMALS, 3)}
        return {
            "question": f"Tell of animal {random.randint(0, 10**6)}.",
            "answer": record,
            "schema": {"type": "object"},
        }

    def written(self, task):
        return json.dumps(task["answer"])


@dataclass(frozen=True)
class Lists(Told):
    """Some animals."""

    name = "lists"
    reward = exact_list.using(ordered=False)

    def draw(self, random):
        animals = random.sample(ANIMALS, random.randint(2, 5))
        return {"question": f"Who is in stable {random.randint(0, 10**6)}?", "answer": animals}

    def written(self, task):
        return ", ".join(task["answer"])


@dataclass(frozen=True)
class Names(Told):
    """Where an animal lives, in two words."""

    name = "names"
    reward = exact_text

    def draw(self, random):
        answer = f"{random.choice(ANIMALS)} {random.choice(PLACES)}"
        return {"question": f"Which place has number {random.randint(0, 10**6)}?", "answer": answer}


@dataclass(frozen=True)
class Sentences(Told):
    """A sentence to be told again."""

    name = "sentences"
    reward = rouge.using(form="tag")

    def draw(self, random):
        (first, second), (place, other) = random.sample(ANIMALS, 2), random.sample(PLACES, 2)
        answer = f"The {first} {random.choice(VERBS)} by the {place} while a {second} runs to the {other}."
        keywords = [first, second, place, other]
        return {"question": f"Sum up story {random.randint(0, 10**6)}.", "answer": answer, "keywords": keywords}
