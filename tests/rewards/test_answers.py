"""Rewards for answers that are text, patterns, JSON, lists: what they accept and refuse beyond their doctests."""

import json
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rlvr_rewards as r
from rlvr_rewards import UserError
from rlvr_rewards.json_text import MAX_CHARACTERS, MAX_DEPTH

DRAFT_7 = "http://json-schema.org/draft-07/schema#"
DRAFT_2020 = "https://json-schema.org/draft/2020-12/schema"
TREE = {  # refers to itself in two branches: twice the work with each level
    "anyOf": [{"$ref": "#/$defs/one"}, {"$ref": "#/$defs/other"}],
    "$defs": {
        "one": {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        "other": {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"], "minProperties": 1},
    },
}
DUCK = {"name": "duck", "legs": 2, "eats": ["grass", "snails"]}


def answer(text):
    return f"<think>so</think><answer>{text}</answer>"


def as_json(value):
    return answer(json.dumps(value))


def nested(depth):
    value = 1
    for _ in range(depth):
        value = {"a": value}
    return value


def timed(call):
    start = time.perf_counter()
    value = call()
    return value, time.perf_counter() - start


@pytest.mark.parametrize(
    ("text", "value"),
    [("New York", 1), ("new  york ", 1), ("New Yorx", 7 / 8), ("York", 0.5), ("Yor", 0), ("New York, Boston", 0.5),
    ("", 0)],
)  # fmt: skip
def test_fuzzy_text_is_one_minus_the_share_of_letters_to_change(text, value):
    assert r.fuzzy_text(answer(text), answer="New York") == pytest.approx(value)


def test_fuzzy_text_takes_the_likest_of_several_golds_and_minds_case_where_told():
    assert r.fuzzy_text(answer("NYC"), answer=["New York", "NYC"]) == 1.0
    assert r.fuzzy_text(answer("nyc"), answer=["New York", "NYC"], ignore_case=False) == 0.0
    for bad in ([], ["x", " "], [7], 7, None):
        assert "the gold answer" in r.fuzzy_text.score(answer("x"), answer=bad).errors["fuzzy_text"]
    with pytest.raises(UserError, match="least=0"):
        r.fuzzy_text(answer("x"), answer="x", least=0)


def test_a_long_answer_is_not_compared_with_a_long_gold():
    gold = "word " * 2000
    assert timed(lambda: r.fuzzy_text(answer("drow " * 200_000), answer=gold))[1] < 1


@pytest.mark.parametrize(
    ("pattern", "text", "value"),
    [
        ("[a-h][1-8]", "e4", 1), ("[a-h][1-8]", "e4 e5", 0), ("[a-h][1-8]", "E4", 0), ("(?i)[a-h][1-8]", "E4", 1),
        ("a.b", "a\nb", 0), ("(?s)a.b", "a\nb", 1), ("x*", "", 1), (r"\pL+", "Übung", 1), (".", "\ud800", 1),
    ],
)  # fmt: skip
def test_all_of_the_answer_must_match(pattern, text, value):
    assert r.pattern_match(answer(text), pattern=pattern) == value
    assert r.pattern_match.using(default_pattern=pattern).score(answer(text)).reward == value


def test_no_pattern_makes_it_slow():
    text = answer("a" * 500_000 + "!")
    for pattern in ("(a+)+b", "(a|a)*b", "(a|aa)+$", "(.*a){20}b"):
        value, seconds = timed(lambda pattern=pattern: r.pattern_match(text, pattern=pattern))
        assert value == 0.0 and seconds < 2, pattern


@pytest.mark.parametrize("pattern", ["(?=a)b", r"(a)\1", "(", "[z-a]", "a{100000}", 7])
def test_a_pattern_that_cannot_be_read_is_an_error(pattern):
    assert "the pattern" in r.pattern_match.score(answer("a"), pattern=pattern).errors["pattern_match"]


def test_without_a_pattern_or_a_schema_it_says_where_to_write_one():
    assert "default_pattern" in r.pattern_match.score(answer("a")).errors["pattern_match"]
    assert "default_schema" in r.json_schema.score(answer("1")).errors["json_schema"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (json.dumps(DUCK), 1), (json.dumps(DUCK, indent=2), 1), (json.dumps(dict(reversed(DUCK.items()))), 1),
        (json.dumps({**DUCK, "legs": 2.0}), 1), (json.dumps({**DUCK, "legs": "2"}), 0),
        (json.dumps({**DUCK, "x": 0}), 0),
        (json.dumps({**DUCK, "eats": ["snails", "grass"]}), 0), ("", 0), ("duck", 0), ("{'name': 'duck'}", 0),
        (json.dumps(DUCK) + " or so", 0), (json.dumps(DUCK) * 2, 0), ("null", 0),
    ],
)  # fmt: skip
def test_exact_json(text, value):
    assert r.exact_json(answer(text), answer=DUCK) == r.exact_json(answer(text), answer=json.dumps(DUCK)) == value


@pytest.mark.parametrize(
    "text", ["true", "1.0000001", '"1"', "[1]", "1e0000", "01", "+1", "1.", "NaN", "Infinity", "1e999"]
)
def test_only_one_is_the_number_one(text):
    assert r.exact_json(answer(text), answer="1") == float(text == "1e0000")


PLAIN = st.none() | st.booleans() | st.integers() | st.text()
ANY_JSON = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(ANY_JSON)
def test_any_json_is_itself(value):
    if value is not None:
        written = f"<answer>{json.dumps(value)}</answer>"
        gold = json.dumps(value) if isinstance(value, str) else value
        assert r.exact_json(written, answer=gold) == r.json_f1(written, answer=gold) == 1.0


def test_json_f1_counts_leaves_in_their_places():
    assert r.json_f1(as_json({**DUCK, "legs": 4}), answer=DUCK) == 0.75
    assert r.json_f1(as_json({"name": "duck"}), answer=DUCK) == 2 * 1 / (1 + 4)
    swapped = {**DUCK, "eats": ["snails", "grass"]}
    assert r.json_f1(as_json(swapped), answer=DUCK) == 0.5
    assert r.json_f1(as_json(swapped), answer=DUCK, ordered=False) == 1.0
    assert r.json_f1(as_json({"name": "duck", "legs": 2, "eats": []}), answer=DUCK) == 2 * 2 / (3 + 4)
    assert r.json_f1(as_json([True]), answer=[1]) == 0.0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("```json\n7\n```", 1), ("```\n7\n```", 1), ("It is\n```JSON\n7\n```\nI say", 1), ("``` 7 ```", 1), ("7", 1),
        ("```json\n7\n```\n```json\n8\n```", 0), ("```json\n7", 0), ("```python\n7\n```", 0), ("It is 7", 0),
    ],
)  # fmt: skip
def test_a_fence_is_taken_off_where_it_is_asked_for(text, value):
    assert r.exact_json(text, answer=7, form="text", fenced=True) == value
    assert r.exact_json(text, answer=7, form="text") == float(text == "7")


@pytest.mark.parametrize(
    "nasty",
    [
        "[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 900 + "1" + "}" * 900, '"' * 100_000, '"\\' * 100_000,
        "9" * 100_000, "-" * 100_000, "1e" + "9" * 100_000, '{"' + "k" * 100_000 + '":1,' * 5, "[1," * 100_000,
        json.dumps("\ud800"), "[" + "1," * (MAX_CHARACTERS // 2) + "1]", '{"a":1,"a":1}',
    ],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_json_that_is_nasty_is_scored_in_time(nasty):
    for reward, columns in ((r.exact_json, {"answer": [1]}), (r.json_f1, {"answer": [1]}),
    (r.json_schema, {"schema": {"type": "object"}})):  # fmt: skip
        score, seconds = timed(lambda reward=reward, columns=columns: reward.score(answer(nasty), **columns))
        assert score.errors == {} and score.reward == 0.0 and seconds < 2


def test_long_keys_above_many_leaves_are_not_copied_for_each():
    deep = {"k" * 8000: [0] * 100_000}
    for _ in range(30):
        deep = {"k" * 8000: deep}
    value, seconds = timed(lambda: r.json_f1(as_json(deep), answer=deep))
    assert value == 1.0 and seconds < 5


@pytest.mark.parametrize(
    ("schema", "value", "allowed"),
    [
        ({"type": "integer"}, 2.0, 1), ({"type": "integer"}, True, 0), ({"const": 1}, True, 0), (True, 7, 1),
        (False, 7, 0),
        ({"pattern": "^a"}, "abc", 1), ({"pattern": "^a"}, "bac", 0), ({"pattern": "a"}, 7, 1),
        ({"patternProperties": {"^n_": {"type": "number"}}, "additionalProperties": False}, {"n_a": 1}, 1),
        ({"patternProperties": {"^n_": {"type": "number"}}, "additionalProperties": False}, {"n_a": "1"}, 0),
        ({"patternProperties": {"^n_": {"type": "number"}}, "additionalProperties": False}, {"m_a": 1}, 0),
        ({"additionalProperties": {"type": "string"}, "properties": {"a": {}}}, {"a": 1, "b": 2}, 0),
        ({"uniqueItems": True}, [1, True, "1", [1], {"a": 1}], 1),
        ({"uniqueItems": True}, [{"a": 1, "b": 2}, {"b": 2, "a": 1}], 0),
        ({"uniqueItems": False}, [1, 1], 1),
        ({"$schema": DRAFT_7, "items": [{"type": "string"}, {"type": "number"}]}, ["a", 1], 1),
        ({"$schema": DRAFT_2020, "prefixItems": [{"type": "string"}], "items": False}, ["a", 1], 0),
        (TREE, {"a": {"a": 1}}, 0),
    ],
)  # fmt: skip
def test_schemas(schema, value, allowed):
    assert (
        r.json_schema(as_json(value), schema=schema)
        == r.json_schema(as_json(value), schema=json.dumps(schema))
        == allowed
    )
    assert r.json_schema.using(default_schema=schema).score(as_json(value)).reward == allowed


def test_a_schema_in_its_own_words_agrees_with_jsonschema():
    import jsonschema

    properties = {"a": {"type": "integer"}, "b": {"uniqueItems": True}}
    schema = {"properties": properties, "required": ["a"], "additionalProperties": False}
    for value in ({"a": 1}, {"a": 1.5}, {"b": [1]}, {"a": 1, "b": [1, 1]}, {"a": 1, "c": 2}, [], 7, None):
        is_valid = jsonschema.Draft202012Validator(schema).is_valid(value)
        assert r.json_schema(as_json(value), schema=schema) == float(is_valid), value


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"pattern": "^(a+)+$"}, "a" * 100_000 + "!"),
        ({"patternProperties": {"^(a+)+$": {}}}, {"a" * 100_000 + "!": 1}),
        ({"additionalProperties": False, "patternProperties": {"^(a+)+$": {}}}, {"a" * 100_000 + "!": 1}),
        ({"uniqueItems": True}, [{"a": i} for i in range(30_000)]),
        ({"uniqueItems": True}, [1, "a", *range(60_000)]),
        (TREE, nested(MAX_DEPTH - 1)),
        ({**TREE, "$schema": DRAFT_2020}, nested(40)),
    ],
    ids=["pattern", "key pattern", "additional", "unique objects", "unique mixed", "tree", "named tree"],
)  # fmt: skip
def test_no_value_makes_a_schema_slow(schema, value):
    score, seconds = timed(lambda: r.json_schema.score(as_json(value), schema=schema))
    assert score.errors == {} and seconds < 4


@pytest.mark.parametrize(
    "schema",
    [7, "{", "7", {"type": "nope"}, {"pattern": "(?=a)"}, {"$ref": "#/nowhere"}, {"$ref": "#"},
     {"items": {"pattern": "("}},     {"patternProperties": {"a": {}}, "unevaluatedProperties": False}],
    ids=str,
)  # fmt: skip
def test_a_schema_that_is_none_is_an_error(schema):
    assert list(r.json_schema.score(answer("1"), schema=schema).errors) == ["json_schema"]


def test_nothing_asks_the_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    errors = r.json_schema.score(answer("1"), schema={"$ref": "https://example.com/schema.json"}).errors
    assert "not there" in errors["json_schema"]
    for kind in ("rouge1", "rouge2", "rougeL", "rougeLsum"):
        assert r.rouge("A duck\nswims.", answer="A duck\nswims.", kind=kind, use_stemmer=True) == 1.0
    for tokenize in ("13a", "intl", "zh", "char", "none"):
        assert r.bleu("A duck swims here.", answer="A duck swims here.", tokenize=tokenize) == 1.0


@pytest.mark.parametrize(
    ("found", "gold", "exact", "precision", "recall"),
    [
        ("a, b", ["a", "b"], 1, 1, 1), ("[a, b]", "a,b", 1, 1, 1), ("b, a", ["a", "b"], 0, 1, 1),
        ("a", ["a", "b"], 0, 1, 0.5),
        ("a, a, b", ["a", "b"], 0, 2 / 3, 1), ("a, a", ["a", "a"], 1, 1, 1), ("a", ["a", "a"], 0, 1, 0.5),
        ("", ["a"], 0, 0, 0),
        (",,a,, ,", ["a"], 1, 1, 1), ("A", ["a"], 0, 0, 0), ("a; b", ["a", "b"], 0, 0, 0), ("1, 2", [1, 2], 1, 1, 1),
    ],
)  # fmt: skip
def test_lists(found, gold, exact, precision, recall):
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0
    rewards = (r.exact_list, r.list_precision, r.list_recall, r.list_f1)
    assert [reward(answer(found), gold) for reward in rewards] == pytest.approx([exact, precision, recall, f1])


def test_settings_of_lists():
    assert r.exact_list(answer("b\na"), "a\nb", separator="\n", ordered=False) == 1.0
    assert r.exact_list(answer("a, b, a"), ["a", "b"], distinct=True) == 1.0
    assert r.exact_list(answer("A B"), ["a  b"], ignore_case=True) == 1.0
    assert r.exact_list(answer("0.50; 1,000"), ["1/2", 1000], separator=";", numbers=True) == 1.0
    with pytest.raises(UserError, match="separator=''"):
        r.list_f1(answer("a"), ["a"], separator="")
    for gold in ([], [""], " , ", {"a": 1}, [["a"]], None):
        assert "has no items" in r.list_f1.score(answer("a"), answer=gold).errors["list_f1"]


def test_rouge_and_bleu_are_the_libraries_own():
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu import sentence_bleu

    gold, said = "The cat sat on the mat.\nIt purred.", "The cat purred on a mat."
    scores = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"]).score(gold, said)
    for kind, score in scores.items():
        for measure, value in zip(("precision", "recall", "f1"), score, strict=True):
            assert r.rouge(said, gold, kind=kind, measure=measure) == value
    assert r.bleu(said, [gold, "A cat."]) == pytest.approx(sentence_bleu(said, [gold, "A cat."]).score / 100)


def test_the_best_of_several_references_counts_and_settings_reach_them():
    assert r.rouge("A cow.", ["A duck.", "A cow."]) == 1.0
    assert r.rouge("ducks swimming", "duck swims") == 0.0
    assert r.rouge("ducks swimming", "duck swims", use_stemmer=True) == 1.0
    assert r.rouge.using(form="tag", kind="rouge1").score(answer("A cow."), answer="cow a").reward == 1.0
    assert r.bleu("鸭子在池塘里游泳。", "鸭子在池塘里游泳。", tokenize="zh") == 1.0
    assert "no word that ROUGE reads" in r.rouge.score("鸭子", answer="鸭子").errors["rouge"]
    with pytest.raises(UserError, match="flores200"):
        r.bleu.using(tokenize="flores200")


def test_overlap_in_time_whatever_is_written():
    gold = "the duck swims on the pond " * 60
    for said in (gold * 3, "y" * 4000, "y " * 2000, gold * 10_000, "\n" * 100_000, "a\n" * 2000):
        for reward in (
            r.rouge,
            r.rouge.using(kind="rougeLsum", use_stemmer=True),
            r.bleu,
            r.bleu.using(tokenize="intl"),
        ):
            score, seconds = timed(lambda reward=reward, said=said: reward.score(said, answer=gold))
            assert score.errors == {} and 0 <= score.reward < 1 and seconds < 3


def test_bleu_keeps_no_texts():
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    r.bleu("A duck swims here.", answer="A duck swims here.")
    assert Tokenizer13a.__call__.cache_info().currsize == 0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("The duck is on the pond with a cow.", 1), ("DUCK and then there is a POND, and a cow.", 1),
        ("the ducks of ponds cower here", 0),
        ("a duck is here today", 1 / 3), ("duck pond cow", 0.5), ("duck " * 9, 0), ("", 0),
    ],
)  # fmt: skip
def test_keywords(text, value):
    share = {"duck " * 9: 1 / 3}.get(text, value)  # named once however often it is written
    assert r.keyword_coverage(text, ["duck", "pond", "cow"]) == pytest.approx(share)


def test_settings_of_keywords():
    assert r.keyword_coverage("duck pond", ["duck", "pond"], max_share=1.0) == 1.0
    assert r.keyword_coverage("a b c duck", ["duck"], most_words=3) == 0.0
    assert r.keyword_coverage("my Duck here", ["duck"], ignore_case=False) == 0.0
    assert r.keyword_coverage("it is C++ of course", ["C++"]) == 1.0
    assert r.keyword_coverage("they went to New York at last", ["new york"]) == 1.0
    assert r.keyword_coverage("鸭子在池塘里游泳。", ["池塘"], max_share=1.0) == 1.0
    assert r.keyword_coverage("<think>duck", ["duck"]) == 0.0
    for bad in ([], "duck", ["duck", ""], [7], None):
        assert "the keywords" in r.keyword_coverage.score("x", keywords=bad).errors["keyword_coverage"]


@pytest.mark.parametrize(
    ("text", "script", "value"),
    [
        ("so it is", "latin", 1), ("это так", "cyrillic", 1), ("это so", "cyrillic", 0.6),
        ("カタカナ と 漢字", "japanese", 1),
        ("한국어", "korean", 1), ("السلام", "arabic", 1), ("हिन्दी", "devanagari", 1), ("αβγ", "latin", 0),
        ("ａｂ", "latin", 0),
        ("123 + 4", "latin", 0), ("", "latin", 0), (r"это \frac{1}{2}", "cyrillic", 1),
        ("<think>это</think><answer>7</answer>", "cyrillic", 1),
    ],
)  # fmt: skip
def test_scripts(text, script, value):
    assert r.script_consistency(text, script) == pytest.approx(value)
    assert r.script_consistency.using(default_script=script).score(text).reward == pytest.approx(value)


def test_a_span_is_looked_at():
    text = "<think>это</think> So."
    assert [r.script_consistency(text, "cyrillic", of=span) for span in ("thought", "final")] == [1.0, 0.0]
    assert r.script_consistency("<think>это", "cyrillic", of="final") == 0.0
    assert r.script_consistency("<think>это", "cyrillic", of="thought") == 1.0
    assert "did you mean 'latin'" in r.script_consistency.score("x", script="latim").errors["script_consistency"]


def test_a_missing_library_is_named(monkeypatch):
    from rlvr_rewards.optional import optional_module

    with pytest.raises(UserError, match="pip install no-such-thing"):
        optional_module("no_such_thing", "no-such-thing")


def test_one_of_several_golds_will_do_for_exact_text():
    assert r.exact_text(answer("NYC"), answer=["New York", "NYC"]) == 1.0
    assert r.exact_text(answer("New York, NYC"), answer=["New York", "NYC"]) == 0.0
    assert "the gold answer" in r.exact_text.score(answer("x"), answer=["x", " "]).errors["exact_text"]
