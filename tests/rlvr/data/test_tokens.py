"""Examples as tokens: what is learned of each, and chat templates that would teach something else are refused."""

import pytest

pytest.importorskip("transformers", reason="needs the train extra")

from rlvr.config.schema import ScratchConfig
from rlvr.data.forms import Example
from rlvr.data.tokens import IGNORED, check_rendering, encode, special_ids
from rlvr.models.scratch import CHAT_TEMPLATE, make_tokenizer
from rlvr_rewards import UserError

TURNS = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "3+4=?"},
    {"role": "assistant", "content": "7"},
    {"role": "user", "content": "and 1?"},
    {"role": "assistant", "content": "8"},
)
MARKED = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
EXAMPLE = Example("demos.jsonl line 1", TURNS, len(TURNS) - 1)


@pytest.fixture
def tokenizer():
    return make_tokenizer(["user\n3+4=? and 1?", "assistant\n7 8"], ScratchConfig(vocab_size=320))


def learned(tokenizer, tokens):
    return tokenizer.decode([label for label in tokens.labels if label != IGNORED])


def test_what_is_learned(tokenizer):
    assert learned(tokenizer, encode(EXAMPLE, tokenizer, "completion")) == "8<|im_end|>\n"
    assert learned(tokenizer, encode(EXAMPLE, tokenizer, "assistant", MARKED)) == "7<|im_end|>8<|im_end|>"
    whole = encode(EXAMPLE, tokenizer, "all")
    assert whole.labels == whole.ids
    assert whole.ids == tokenizer.apply_chat_template(list(TURNS), return_dict=False)


def test_a_text_is_learned_whole_and_ended(tokenizer):
    tokens = encode(Example("x", text="once upon"), tokenizer, "completion")
    assert learned(tokenizer, tokens) == "once upon<|im_end|>"
    again = encode(Example("x", text="once upon<|im_end|>"), tokenizer, "completion")
    assert again == tokens


def test_a_template_without_marks_leaves_nothing_to_learn(tokenizer):
    with pytest.raises(UserError, match=r"demos\.jsonl line 1: nothing of it would be learned"):
        encode(EXAMPLE, tokenizer, "assistant", CHAT_TEMPLATE)


def test_a_template_that_loses_a_role_is_shown_on_the_row(tokenizer):
    check_rendering("m", tokenizer, EXAMPLE)
    tokenizer.chat_template = "{% for m in messages if m['role'] != 'system' %}" + CHAT_TEMPLATE.partition("%}")[2]
    tokenizer.chat_template = tokenizer.chat_template.replace("message[", "m[")
    with pytest.raises(UserError) as error:
        check_rendering("m", tokenizer, EXAMPLE)
    says = str(error.value)
    assert "demos.jsonl line 1: the chat template of model m loses what the system says" in says
    assert "3+4=?" in says and "\n" not in says


def test_a_template_that_raises_is_one_line(tokenizer):
    tokenizer.chat_template = "{{ raise_exception('System role not supported') }}"
    with pytest.raises(
        UserError, match=r"line 1: the chat template of model m refuses it: .*System role not supported"
    ):
        check_rendering("m", tokenizer, EXAMPLE)


def test_two_starts_are_refused(tokenizer):
    tokenizer.bos_token = "<|im_start|>"
    tokenizer.chat_template = "{{ bos_token }}" + CHAT_TEMPLATE
    with pytest.raises(UserError, match=r"begins with '<\|im_start\|>' twice, since its chat template adds one more"):
        check_rendering("m", tokenizer, EXAMPLE)
    with pytest.raises(UserError, match="since the text has one more"):
        check_rendering("m", tokenizer, Example("x", text="<|im_start|><|im_start|>once"))


def test_special_tokens_hold_the_end_of_a_turn(tokenizer):
    assert tokenizer.eos_token_id in special_ids(tokenizer)
