"""The final answer as JSON that a JSON Schema allows."""

from typing import Any

from rlvr_rewards.errors import UserError
from rlvr_rewards.examples import Example
from rlvr_rewards.extract import AnswerForm, final_answer
from rlvr_rewards.functions import reward
from rlvr_rewards.json_text import NotJSONError, read_json, unfenced
from rlvr_rewards.schemas import allows, schema_text

_SCHEMA = {"type": "object", "required": ["legs"], "properties": {"legs": {"type": "integer", "minimum": 0}}}
EXAMPLES = {"json_schema": Example('<answer>{"legs": 2}</answer>', {"schema": _SCHEMA})}


@reward
def json_schema(
    completion: str,
    schema: Any = None,
    *,
    default_schema: Any = None,
    fenced: bool = False,
    form: AnswerForm = AnswerForm.TAG,
    tag: str = "answer",
) -> float:
    r"""1.0 where the final answer is JSON that the schema allows: the column `schema`, or `default_schema`.

    A schema is an object, or its text; of the draft that its `$schema` names, otherwise 2020-12. `format` is not
    checked, as the specification has it. What counts as JSON is said in `rlvr_rewards.json_text`.

    >>> schema = {"type": "object", "required": ["legs"], "properties": {"legs": {"type": "integer", "minimum": 0}}}
    >>> json_schema('<answer>{"legs": 2}</answer>', schema=schema)
    1.0
    >>> [json_schema(f"<answer>{text}</answer>", schema=schema) for text in ('{"legs": -2}', "legs: 2", "{}")]
    [0.0, 0.0, 0.0]
    >>> json_schema('```json\n{"legs": 2}\n```', schema=schema, form="text", fenced=True)
    1.0

    Hacks: `NaN` is no JSON, nor is an object that has a key twice.

    >>> json_schema('<answer>{"legs": NaN}</answer>', schema=schema)
    0.0
    >>> json_schema('<answer>{"legs": -2, "legs": 2}</answer>', schema=schema)
    0.0

    Another: any value that the schema allows earns it. Gate a part that knows the right one, such as `json_f1`.

    >>> json_schema('<answer>{"legs": 99}</answer>', schema=schema)
    1.0

    Needs jsonschema, and google-re2 where a schema has patterns: RE2 reads them, in linear time. Nothing is fetched:
    a `$ref` leads to the schema itself or to a published draft.

    Raises:
        ValueError: The schema is none, or has a pattern that RE2 cannot read, or `unevaluatedProperties` beside
            `patternProperties`, which would need `re`.
    """
    chosen = default_schema if schema is None else schema
    if chosen is None:
        raise UserError("json_schema needs a schema: the column schema, or json_schema(default_schema={…})")
    rules = schema_text(chosen)
    found = final_answer(completion, form, tag)
    try:
        value = read_json(unfenced(found) if fenced else found) if found is not None else None
    except NotJSONError:
        return 0.0
    return float(found is not None and allows(rules, value))
