"""A filter line read by a small parser: tokens (`filter_tokens`), then recursive descent. Nothing is evaluated as code.

    reward < 0.2 and parts.format == 1 and length > 200
    finish_reason == "length" or not (success and kept)
    completion ~ "wait,? (no|actually)" and advantage is not none and step in (1, 2, 40)

    either   := both ("or" both)*
    both     := negation ("and" negation)*
    negation := "not" negation | "(" either ")" | test
    test     := operand [("==" | "!=" | "<" | "<=" | ">" | ">=") operand | ("~" | "!~") TEXT | "contains" TEXT
                | "is" ["not"] "none" | ["not"] "in" "(" literal ("," literal)* ")"]
    operand  := NUMBER | TEXT | "true" | "false" | FIELD

A test without an operator is a field that is true or not. Where a value is missing every comparison is false, `!=` too,
and only `is none` is true; `not` turns round whatever the test in it said. What fields there are: `rlvr.traces.fields`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import pyarrow as pa

from rlvr.traces import conditions as c
from rlvr.traces.arrow import pc
from rlvr.traces.fields import Kind, field_named, nearest
from rlvr.traces.filter_tokens import FilterError, Token, tokens, unquoted

__all__ = ["Filter", "FilterError", "parse_filter"]

_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
_MOST_DEPTH = 50
_MOST_LENGTH = 2000


@dataclass(frozen=True)
class Filter:
    """A filter that was read.

    Attributes:
        text: As it was written.
        condition: What it says.
    """

    text: str
    condition: c.Condition

    @property
    def columns(self) -> frozenset[str]:
        """The columns of a trace that it needs."""
        return self.condition.columns

    def mask(self, table: pa.Table) -> pa.Array:
        """Which rows it lets through: a boolean array without nulls, as long as the table."""
        return self.condition.mask(table)


def parse_filter(text: str, part_names: Sequence[str] | None = None) -> Filter:
    """Reads a filter line.

    Args:
        part_names: The parts that there are; a part that is none of them is refused. By default any name is taken.

    Raises:
        FilterError: It is no filter; `column` says where.
    """
    if len(text) > _MOST_LENGTH:
        raise FilterError(f"too long: at most {_MOST_LENGTH} characters", _MOST_LENGTH)
    parser = _Parser(tokens(text), len(text), part_names)
    return Filter(text, parser.read())


class _Parser:
    """Recursive descent over the tokens of one line."""

    def __init__(self, found: list[Token], end: int, part_names: Sequence[str] | None) -> None:
        self.tokens, self.end, self.part_names = found, Token("end", "", end), part_names
        self.place, self.depth = 0, 0

    def read(self) -> c.Condition:
        if not self.tokens:
            raise FilterError("an empty filter: write one such as reward < 0.2", 0)
        found = self._either()
        if self._next.kind != "end":
            self._refuse_rest()
        return found

    @property
    def _next(self) -> Token:
        return self.tokens[self.place] if self.place < len(self.tokens) else self.end

    def _take(self) -> Token:
        token = self._next
        self.place += 1
        return token

    def _took(self, *texts: str) -> Token | None:
        """Takes the next token where it is one of these words or signs."""
        return self._take() if self._next.kind in ("word", "sign") and self._next.text.lower() in texts else None

    def _refuse_rest(self) -> NoReturn:
        token = self._next
        if token.text in (")", "=", "!"):
            hints = {")": "this parenthesis was never opened", "=": "write == to compare", "!": "write not"}
            raise FilterError(hints[token.text], token.column)
        raise FilterError(f"and or or is missing before {token.text}", token.column)

    def _either(self) -> c.Condition:
        found = [self._both()]
        while self._took("or", "||"):
            found.append(self._both())
        return found[0] if len(found) == 1 else c.Or(tuple(found))

    def _both(self) -> c.Condition:
        found = [self._negation()]
        while self._took("and", "&&"):
            found.append(self._negation())
        return found[0] if len(found) == 1 else c.And(tuple(found))

    def _negation(self) -> c.Condition:
        self.depth += 1
        if self.depth > _MOST_DEPTH:
            raise FilterError("nested too deep", self._next.column)
        if self._took("not"):
            found: c.Condition = c.Not(self._negation())
        elif opened := self._took("("):
            found = self._either()
            if not self._took(")"):
                if self._next.kind != "end":
                    self._refuse_rest()
                raise FilterError("this parenthesis is never closed", opened.column)
        else:
            found = self._test()
        self.depth -= 1
        return found

    def _test(self) -> c.Condition:
        token = self._next
        left = self._operand()
        if sign := self._took(*_COMPARISONS):
            return self._comparison(left, sign, token)
        if sign := self._took("~", "!~"):
            return self._match(self._text_field(left, token), negated=sign.text == "!~")
        if self._took("contains"):
            return c.Contains(self._text_field(left, token), self._text("contains"))
        if self._took("is"):
            negated = bool(self._took("not"))
            if not self._took("none", "null"):
                raise FilterError("after is comes none or not none", self._next.column)
            return _negated(c.IsNone(self._field(left, token)), negated)
        if self._next.text.lower() in ("in", "not") and self._next.kind == "word":
            negated = bool(self._took("not"))
            if not self._took("in"):
                raise FilterError("in is missing after not", self._next.column)
            return _negated(self._membership(left, token), negated)
        return self._truth(left, token)

    def _comparison(self, left: c.Operand, sign: Token, at: Token) -> c.Condition:
        right_at = self._next
        right = self._operand()
        if isinstance(left, c.Literal) and isinstance(right, c.Literal):
            raise FilterError("one side must be a field such as reward", at.column)
        if self._next.text in _COMPARISONS:
            raise FilterError("compare two at a time, and join them with and", self._next.column)
        kinds = {side.kind for side in (left, right)} - {Kind.ANY}
        if len(kinds) > 1 and kinds != {Kind.NUMBER, Kind.BOOL}:
            raise FilterError(f"{right_at.text} is a {right.kind}, and {at.text} a {left.kind}", right_at.column)
        if sign.text not in ("==", "!=") and kinds & {Kind.TEXT, Kind.BOOL}:
            raise FilterError(f"only numbers are more or less; use == or != with {at.text}", sign.column)
        return c.Compare(sign.text, left, right)

    def _membership(self, left: c.Operand, at: Token) -> c.Condition:
        if not self._took("("):
            raise FilterError("in wants a list such as (1, 2)", self._next.column)
        found = [self._in_list(left, at)]
        while self._took(","):
            found.append(self._in_list(left, at))
        if not self._took(")"):
            raise FilterError("the list wants a comma or its closing parenthesis", self._next.column)
        return c.Or(tuple(found))

    def _in_list(self, left: c.Operand, at: Token) -> c.Condition:
        if self._next.kind not in ("number", "text") and self._next.text.lower() not in ("true", "false"):
            raise FilterError("a list holds numbers and texts", self._next.column)
        return self._comparison(left, Token("sign", "==", self._next.column), at)

    def _truth(self, left: c.Operand, at: Token) -> c.Condition:
        if self._next.text in ("=", "!"):
            self._refuse_rest()
        found = self._field(left, at)
        if found.kind not in (Kind.BOOL, Kind.ANY):
            raise FilterError(f"compare {at.text}, as in {_example(at.text, found.kind)}", self._next.column)
        return c.Compare("==", found, c.Literal(True))

    def _match(self, found: c.FieldOperand, negated: bool) -> c.Condition:
        token = self._next
        pattern = self._text("~")
        try:
            pc.match_substring_regex(pa.array([""]), pattern)
        except pa.ArrowInvalid as error:
            raise FilterError(f"no regular expression: {_reason(error)}", token.column) from None
        return _negated(c.Matches(found, pattern), negated)

    def _text(self, before: str) -> str:
        token = self._take()
        if token.kind != "text":
            raise FilterError(f'after {before} comes a text in quotes, such as "wait"', token.column)
        return unquoted(token.text, is_pattern=before == "~")

    def _text_field(self, operand: c.Operand, at: Token) -> c.FieldOperand:
        found = self._field(operand, at)
        if found.kind not in (Kind.TEXT, Kind.ANY):
            raise FilterError(f"{at.text} is a {found.kind}, and only text is searched", at.column)
        return found

    def _field(self, operand: c.Operand, at: Token) -> c.FieldOperand:
        if isinstance(operand, c.Literal):
            raise FilterError(f"a field such as reward is missing before {at.text}", at.column)
        return operand

    def _operand(self) -> c.Operand:
        token = self._take()
        if token.kind == "number":
            return c.Literal(float(token.text))
        if token.kind == "text":
            return c.Literal(unquoted(token.text))
        if token.kind == "word" and token.text.lower() in ("true", "false"):
            return c.Literal(token.text.lower() == "true")
        if token.kind != "word" or token.text.lower() in ("and", "or", "not", "is", "in", "contains", "none"):
            what = f"before {token.text}" if token.text else "at the end"
            raise FilterError(f"a field, number or text is missing {what}", token.column)
        return self._named(token)

    def _named(self, token: Token) -> c.FieldOperand:
        found = field_named(token.text)
        if found is None:
            raise FilterError(f"there is no field {token.text}{nearest(token.text)}", token.column)
        if found.group == "parts" and self.part_names is not None and found.key not in self.part_names:
            there = ", ".join(self.part_names) or "none"
            raise FilterError(f"there is no part {found.key}; there is: {there}", token.column)
        return c.FieldOperand(found)


def _negated(condition: c.Condition, negated: bool) -> c.Condition:
    return c.Not(condition) if negated else condition


def _example(name: str, kind: Kind) -> str:
    return f'{name} == "…"' if kind == Kind.TEXT else f"{name} > 0"


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()).removeprefix("Invalid regular expression: ")[:100]
