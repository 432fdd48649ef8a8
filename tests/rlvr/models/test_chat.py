"""Chat templates that would teach something else than the answer are refused."""

import pytest

from rlvr.config.schema import ModelConfig
from rlvr.models.chat import check_template
from rlvr.models.load import load_tokenizer
from rlvr_rewards import UserError

TALK = [
    {"role": "user", "content": "2+2?"},
    {"role": "assistant", "content": "<think>easy</think><answer>4</answer>"},
]
TURN = "{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}"
PLAIN = "{% for m in messages %}" + TURN + "{% endfor %}"
PROMPT = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"


@pytest.mark.parametrize(
    ("template", "says"),
    [
        (PLAIN + PROMPT, None),
        (
            PLAIN.replace("m['content']", "m['content'].split('</think>')[-1]") + PROMPT,
            "changes the text of the answer",
        ),
        ("{{ messages | length }}" + PLAIN + PROMPT, "rewrites the prompt"),
        (PLAIN.replace("<|im_end|>", "") + PROMPT, "does not end a turn"),
    ],
)
def test_a_template_must_keep_prompt_and_answer(tiny, template, says):
    tokenizer = load_tokenizer(str(tiny), ModelConfig())
    tokenizer.chat_template = template
    if says is None:
        check_template("m", tokenizer, [TALK])
        return
    with pytest.raises(UserError, match=says):
        check_template("m", tokenizer, [TALK])
