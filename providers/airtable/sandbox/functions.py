"""The values, operators and functions of Airtable's formula language.

Values are None (blank), bool, numbers, text, lists of these and Moment. Blank equals
the empty text, zero and false, as it does in Airtable. A comparison of a time with a
plain text is true, always: that is the trap of `LAST_MODIFIED_TIME() > "2026-01-01"`,
which silently returns every record.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol, TypeAlias

from providers.airtable.sandbox.state import iso, parse_moment


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """A time, seconds since the epoch."""

    at: float


Value: TypeAlias = "bool | int | float | str | Moment | list[Value] | None"


class CellError(Exception):
    """The formula has no value for this row; the cell shows an error."""


class Row(Protocol):
    """The row that a formula is about."""

    @property
    def id(self) -> str: ...
    @property
    def created(self) -> Moment: ...
    @property
    def now(self) -> Moment: ...
    def field(self, name: str) -> Value: ...
    def modified(self, names: Sequence[str]) -> Moment: ...


def text(value: Value) -> str:
    """The value as & shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, Moment):
        return iso(value.at)
    if isinstance(value, list):
        return ", ".join(text(item) for item in value)
    return str(value)


def number(value: Value) -> float | int:
    """The value in arithmetic: blank is 0. Raises CellError."""
    if value is None or value == "":
        return 0
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    if isinstance(value, list) and len(value) == 1:
        return number(value[0])
    raise CellError(f"{text(value)!r} is not a number")


def moment(value: Value) -> Moment:
    """The value as a time. Raises CellError."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, Moment):
        return value
    found = parse_moment(value) if isinstance(value, str) else None
    if found is None:
        raise CellError(f"{text(value)!r} is not a date")
    return Moment(found)


def _equal(left: Value, right: Value) -> bool:
    if isinstance(left, list):
        left = text(left)
    if isinstance(right, list):
        right = text(right)
    if left is None or right is None:
        return not left and not right
    if isinstance(left, Moment) and isinstance(right, str):
        return right in (iso(left.at), iso(left.at)[:10])
    if isinstance(left, str) and isinstance(right, Moment):
        return _equal(right, left)
    return left == right


def _less(left: Value, right: Value) -> bool:
    if isinstance(left, Moment) and isinstance(right, Moment):
        return left < right
    if isinstance(left, Moment) or isinstance(right, Moment):
        return True
    if isinstance(left, str) and isinstance(right, str):
        return left < right
    return number(left) < number(right)


def _divide(left: Value, right: Value) -> Value:
    divisor = number(right)
    if divisor == 0:
        raise CellError("division by zero")
    return number(left) / divisor


def _at_least(left: Value, right: Value) -> bool:
    return _equal(left, right) or _less(right, left)


OPERATORS: Final[Mapping[str, Callable[[Value, Value], Value]]] = {
    "=": _equal,
    "!=": lambda a, b: not _equal(a, b),
    "<": _less,
    ">": lambda a, b: _less(b, a),
    "<=": lambda a, b: _at_least(b, a),
    ">=": _at_least,
    "&": lambda a, b: text(a) + text(b),
    "+": lambda a, b: number(a) + number(b),
    "-": lambda a, b: number(a) - number(b),
    "*": lambda a, b: number(a) * number(b),
    "/": _divide,
}

_FORMAT: Final = (
    ("YYYY", "%Y"),
    ("MM", "%m"),
    ("DD", "%d"),
    ("HH", "%H"),
    ("mm", "%M"),
    ("ss", "%S"),
    ("SSS", "%f"),
)


def _strptime_format(pattern: str) -> str:
    for token, directive in _FORMAT:
        pattern = pattern.replace(token, directive)
    return pattern


def _parse(_row: Row, arguments: list[Value]) -> Value:
    given = text(arguments[0])
    if len(arguments) == 1:
        return moment(given)
    try:
        at = datetime.strptime(given, _strptime_format(text(arguments[1]))).replace(tzinfo=UTC)
    except (ValueError, re.error) as error:  # re: the same part of a date twice
        raise CellError(f"{given!r} is not a date") from error
    return Moment(at.timestamp())


def _find(_row: Row, arguments: list[Value]) -> Value:
    start = int(number(arguments[2])) - 1 if len(arguments) == 3 else 0
    return text(arguments[1]).find(text(arguments[0]), max(start, 0)) + 1


def _search(row: Row, arguments: list[Value]) -> Value:
    low: list[Value] = [text(a).lower() for a in arguments[:2]]
    return _find(row, low + arguments[2:]) or None


def _round(_row: Row, arguments: list[Value]) -> Value:
    places = int(number(arguments[1])) if len(arguments) == 2 else 0
    scale = 10.0**places
    rounded = math.floor(number(arguments[0]) * scale + 0.5) / scale  # halves go up
    return int(rounded) if places <= 0 else rounded


def _value(_row: Row, arguments: list[Value]) -> Value:
    try:
        return float(text(arguments[0]).replace(",", ""))
    except ValueError as error:
        raise CellError("not a number") from error


def _join(_row: Row, arguments: list[Value]) -> Value:
    items = arguments[0] if isinstance(arguments[0], list) else [arguments[0]]
    separator = text(arguments[1]) if len(arguments) == 2 else ", "
    return separator.join(text(item) for item in items)


def _numbers(arguments: list[Value]) -> list[float | int]:
    found: list[float | int] = []
    for argument in arguments:
        items = argument if isinstance(argument, list) else [argument]
        found.extend(number(item) for item in items if isinstance(item, int | float))
    return found


def _of_text(change: Callable[[str], Value]) -> Function:
    return (1, 1, lambda _row, a: change(text(a[0])))


def _of_numbers(reduce: Callable[[list[float | int]], Value]) -> Function:
    return (1, _MANY, lambda _row, a: reduce(_numbers(a)))


Function: TypeAlias = "tuple[int, int, Callable[[Row, list[Value]], Value]]"
_MANY: Final = 10_000

# name -> (fewest arguments, most arguments, what it does)
FUNCTIONS: Final[Mapping[str, Function]] = {
    "TRUE": (0, 0, lambda _row, _a: True),
    "FALSE": (0, 0, lambda _row, _a: False),
    "BLANK": (0, 0, lambda _row, _a: None),
    "RECORD_ID": (0, 0, lambda row, _a: row.id),
    "CREATED_TIME": (0, 0, lambda row, _a: row.created),
    "NOW": (0, 0, lambda row, _a: row.now),
    "TODAY": (0, 0, lambda row, _a: Moment(row.now.at // 86400 * 86400)),
    "AND": (1, _MANY, lambda _row, a: all(a)),
    "OR": (1, _MANY, lambda _row, a: any(a)),
    "XOR": (1, _MANY, lambda _row, a: sum(map(bool, a)) % 2 == 1),
    "NOT": (1, 1, lambda _row, a: not a[0]),
    "IS_AFTER": (2, 2, lambda _row, a: moment(a[0]) > moment(a[1])),
    "IS_BEFORE": (2, 2, lambda _row, a: moment(a[0]) < moment(a[1])),
    "IS_SAME": (2, 2, lambda _row, a: moment(a[0]) == moment(a[1])),
    "DATETIME_PARSE": (1, 2, _parse),
    "FIND": (2, 3, _find),
    "SEARCH": (2, 3, _search),
    "LEN": _of_text(len),
    "LOWER": _of_text(str.lower),
    "UPPER": _of_text(str.upper),
    "TRIM": _of_text(str.strip),
    "VALUE": (1, 1, _value),
    "T": _of_text(str),
    "CONCATENATE": (1, _MANY, lambda _row, a: "".join(map(text, a))),
    "ARRAYJOIN": (1, 2, _join),
    "LEFT": (2, 2, lambda _row, a: text(a[0])[: max(int(number(a[1])), 0)]),
    "SUBSTITUTE": (3, 3, lambda _row, a: text(a[0]).replace(text(a[1]), text(a[2]))),
    "ABS": (1, 1, lambda _row, a: abs(number(a[0]))),
    "ROUND": (1, 2, _round),
    "SUM": _of_numbers(sum),
    "MIN": _of_numbers(lambda found: min(found, default=0)),
    "MAX": _of_numbers(lambda found: max(found, default=0)),
    "AVERAGE": _of_numbers(lambda found: sum(found) / len(found) if found else None),
}
