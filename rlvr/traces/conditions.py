"""What a filter says, as a tree that is evaluated over whole columns: every node gives a mask without nulls."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar, Protocol

import pyarrow as pa

from rlvr.traces.arrow import pc
from rlvr.traces.columns import narrowed
from rlvr.traces.fields import Field, Kind, literal, once_each

_LONG = frozenset(("completion", "messages"))
"""Columns with so much text in them that looking through it takes most of the time."""
_COMPARE = {
    "==": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}


class Condition(Protocol):
    """Says of every row of a table whether it is so."""

    @property
    def columns(self) -> frozenset[str]:
        """The columns of a trace that it needs."""
        ...

    def mask(self, table: pa.Table) -> pa.Array:
        """True or false for each row."""
        ...


@dataclass(frozen=True)
class Literal:
    """A number, a text, or true or false."""

    value: float | str | bool

    @property
    def kind(self) -> Kind:
        if isinstance(self.value, bool):
            return Kind.BOOL
        return Kind.TEXT if isinstance(self.value, str) else Kind.NUMBER

    @property
    def columns(self) -> frozenset[str]:
        return frozenset()


@dataclass(frozen=True)
class FieldOperand:
    """A field's value."""

    field: Field

    @property
    def kind(self) -> Kind:
        return self.field.kind

    @property
    def columns(self) -> frozenset[str]:
        return frozenset((self.field.column,))


Operand = Literal | FieldOperand


@dataclass(frozen=True)
class Compare:
    """Two values, one of them a field's; false where one is missing or of another kind."""

    sign: str
    left: Operand
    right: Operand

    @property
    def columns(self) -> frozenset[str]:
        return self.left.columns | self.right.columns

    def mask(self, table: pa.Table) -> pa.Array:
        kinds = {side.kind for side in (self.left, self.right)} - {Kind.ANY}
        kind = Kind.NUMBER if len(kinds) > 1 else next(iter(kinds), Kind.ANY)
        left, right = (_values(side, kind, table) for side in (self.left, self.right))
        return _known(_COMPARE[self.sign](left, right), table)


@dataclass(frozen=True)
class IsNone:
    """A field without a value."""

    operand: FieldOperand

    @property
    def columns(self) -> frozenset[str]:
        return self.operand.columns

    def mask(self, table: pa.Table) -> pa.Array:
        return pc.is_null(self.operand.field.values(table))


@dataclass(frozen=True)
class Matches:
    """A text in which a regular expression (RE2, so linear in the text) finds something."""

    operand: FieldOperand
    pattern: str

    @property
    def columns(self) -> frozenset[str]:
        return self.operand.columns

    def mask(self, table: pa.Table) -> pa.Array:
        return _known(pc.match_substring_regex(_values(self.operand, Kind.TEXT, table), self.pattern), table)


@dataclass(frozen=True)
class Contains:
    """A text with another in it."""

    operand: FieldOperand
    part: str

    @property
    def columns(self) -> frozenset[str]:
        return self.operand.columns

    def mask(self, table: pa.Table) -> pa.Array:
        return _known(pc.match_substring_regex(_values(self.operand, Kind.TEXT, table), literal(self.part)), table)


@dataclass(frozen=True)
class Not:
    """The other rows."""

    inner: Condition

    @property
    def columns(self) -> frozenset[str]:
        return self.inner.columns

    def mask(self, table: pa.Table) -> pa.Array:
        return pc.invert(self.inner.mask(table))


@dataclass(frozen=True)
class _Several:
    """Conditions joined row by row."""

    inner: tuple[Condition, ...]
    joining: ClassVar[Callable[[pa.Array, pa.Array], pa.Array]]

    @property
    def columns(self) -> frozenset[str]:
        return frozenset().union(*(each.columns for each in self.inner))

    def mask(self, table: pa.Table) -> pa.Array:
        return reduce(self.joining, (each.mask(table) for each in self.inner))


class And(_Several):
    """Where all are so; long texts are only looked at in rows where all else is."""

    joining = staticmethod(pc.and_)

    def mask(self, table: pa.Table) -> pa.Array:
        short = tuple(each for each in self.inner if not each.columns & _LONG)
        if not short or len(short) == len(self.inner):
            return super().mask(table)
        found = And(short).mask(table)
        rest = And(tuple(each for each in self.inner if each.columns & _LONG))
        return narrowed(found, rest.mask(table.select(sorted(rest.columns)).filter(found)))


class Or(_Several):
    """Where one is so."""

    joining = staticmethod(pc.or_)


def _known(mask: pa.Array | pa.Scalar, table: pa.Table) -> pa.Array:
    assert not isinstance(mask, pa.Scalar) and len(mask) == table.num_rows
    return pc.fill_null(mask, False) if mask.null_count else mask


def _values(operand: Operand, kind: Kind, table: pa.Table) -> pa.Array | pa.Scalar:
    """An operand's values as those of a kind; what is of another kind is null."""
    if isinstance(operand, Literal):
        return pa.scalar(float(operand.value) if kind == Kind.NUMBER else operand.value)
    values = operand.field.values(table)
    if operand.kind == Kind.ANY:
        return _of_json(values, kind)
    if kind == Kind.NUMBER and operand.kind == Kind.BOOL:
        return values.cast(pa.int8()).cast(pa.float64())
    return values


def _of_json(values: pa.Array, kind: Kind) -> pa.Array:
    """JSON texts as numbers, texts or truth values; as they are where the kind does not matter."""

    def opened(text: str | None) -> float | str | bool | None:
        value = None if text is None else json.loads(text)
        if kind == Kind.BOOL:
            return value if isinstance(value, bool) else None
        if kind == Kind.NUMBER:
            return float(value) if isinstance(value, int | float) else None
        return value if isinstance(value, str) else None if value is None else text

    types = {Kind.NUMBER: pa.float64(), Kind.BOOL: pa.bool_()}
    return values if kind == Kind.ANY else once_each(values, opened, types.get(kind, pa.string()))
