"""Airtable's formula language: text to a function of a row.

`compiled(text)` parses once and remembers. The result knows the fields that it names,
so that an unknown one can be refused before any row is looked at. The grammar, from
loose to tight: comparisons, &, + and -, * and /, unary minus, then literals, {Field},
bare field names, calls and parentheses. Functions are the table in `functions`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from providers.airtable.sandbox.functions import (
    FUNCTIONS,
    OPERATORS,
    CellError,
    Row,
    Value,
    number,
)

Node = Callable[[Row], Value]


class FormulaError(ValueError):
    """The text is no formula; the message says why."""


@dataclass(frozen=True, slots=True)
class Formula:
    """A parsed formula: the field names or ids it refers to, and what computes it.

    `run` computes; call `evaluate`, which renames what arithmetic can raise.
    """

    fields: frozenset[str]
    run: Node

    def evaluate(self, row: Row) -> Value:
        """The formula's value for the row. Raises CellError where a cell shows an error."""
        try:
            return self.run(row)
        except ArithmeticError as error:
            raise CellError(str(error)) from error


_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<number>\d+\.?\d*|\.\d+)
      | (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
      | \{(?P<field>(?:\\.|[^}\\])*)\}
      | (?P<word>[^\W\d]\w*)
      | (?P<sign><=|>=|!=|[-+*/&=<>(),])
    )""",
    re.VERBOSE | re.DOTALL,
)
_LEVELS: Final = (("=", "!=", "<", ">", "<=", ">="), ("&",), ("+", "-"), ("*", "/"))
_MAX_DEPTH: Final = 60


@lru_cache(maxsize=512)
def compiled(text: str) -> Formula:
    """The formula of a text. Raises FormulaError."""
    parser = _Parser(text)
    return Formula(frozenset(parser.fields), parser.parse())


def _unescaped(text: str) -> str:
    return re.sub(
        r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), text, flags=re.DOTALL
    )


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at, text = 0, text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise FormulaError(f"unexpected {text[at : at + 10]!r}")
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found


class _Parser:
    """One pass over the tokens; builds closures, collects the fields."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0
        self.fields: set[str] = set()
        self._node = self._binary(0)
        if self._at < len(self._tokens):
            raise FormulaError(f"unexpected {self._tokens[self._at][1]!r}")

    def parse(self) -> Node:
        return self._node

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _take(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token

    def _sign(self, sign: str) -> bool:
        if self._peek() == ("sign", sign):
            self._at += 1
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._sign(sign):
            raise FormulaError(f"expected {sign!r}")

    def _binary(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while self._peek()[0] == "sign" and self._peek()[1] in _LEVELS[level]:
            operate = OPERATORS[self._take()[1]]
            left = _operation(operate, left, self._binary(level + 1))
        return left

    def _unary(self) -> Node:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise FormulaError("nested too deep")
        try:
            if self._sign("-"):
                operand = self._unary()
                return lambda row: -number(operand(row))
            return self._primary()
        finally:
            self._depth -= 1

    def _primary(self) -> Node:
        kind, text = self._take()
        if kind == "number":
            value = float(text) if "." in text else int(text)
            return lambda _row: value
        if kind == "string":
            content = _unescaped(text[1:-1])
            return lambda _row: content
        if kind == "field":
            return self._reference(_unescaped(text))
        if kind == "word":
            return self._call(text.upper()) if self._sign("(") else self._reference(text)
        if (kind, text) == ("sign", "("):
            inside = self._binary(0)
            self._expect(")")
            return inside
        raise FormulaError(f"unexpected {text!r}" if text else "it ends too early")

    def _reference(self, name: str) -> Node:
        self.fields.add(name)
        return lambda row: row.field(name)

    def _call(self, name: str) -> Node:
        if name == "LAST_MODIFIED_TIME":
            return self._last_modified()
        arguments = self._arguments()
        if name == "IF":
            return _condition(arguments)
        function = FUNCTIONS.get(name)
        if function is None:
            raise FormulaError(f"unknown function {name}")
        least, most, run = function
        if not least <= len(arguments) <= most:
            raise FormulaError(f"{name} does not take {len(arguments)} arguments")
        return lambda row: run(row, [argument(row) for argument in arguments])

    def _arguments(self) -> list[Node]:
        found: list[Node] = []
        if self._sign(")"):
            return found
        while True:
            found.append(self._binary(0))
            if self._sign(")"):
                return found
            self._expect(",")

    def _last_modified(self) -> Node:
        # Its arguments are fields, not values: when they changed is asked.
        before = self._at
        self._arguments()
        tokens = self._tokens[before : self._at - 1]
        names = [text for kind, text in tokens if kind in ("field", "word")]
        if len(names) + tokens.count(("sign", ",")) != len(tokens):
            raise FormulaError("LAST_MODIFIED_TIME takes fields")
        return lambda row: row.modified(names)


def _operation(operate: Callable[[Value, Value], Value], left: Node, right: Node) -> Node:
    return lambda row: operate(left(row), right(row))


def _condition(arguments: list[Node]) -> Node:
    if not 2 <= len(arguments) <= 3:
        raise FormulaError("IF takes two or three arguments")
    test, then = arguments[:2]
    otherwise = arguments[2] if len(arguments) == 3 else None

    def run(row: Row) -> Value:
        if test(row):
            return then(row)
        return otherwise(row) if otherwise else None

    return run


def holds(formula: Formula, row: Row) -> bool:
    """Whether the formula is true of the row; a row in error is not."""
    try:
        return bool(formula.evaluate(row))
    except CellError:
        return False
