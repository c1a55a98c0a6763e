"""Tracebacks that tell where it went wrong and nothing of what was in the data.

A foreign exception's message may quote a value: Postgres quotes the row that a constraint
refuses, Python the text that is no number. Of those the kind remains, and Postgres' code,
and what stands outside of quotation marks; messages of our own are made to be shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import psycopg

_QUOTED: Final = re.compile(r"\"[^\"]*\"|'[^']*'|“[^”]*”")
_QUOTING: Final = (ValueError, LookupError, ArithmeticError)  # by what they are about
_SHORTEST: Final = 3  # characters of a line that is worth replacing


def without_data(text: str, error: BaseException) -> str:
    """A formatted traceback of the exception, or a message, without its quotations."""
    for each in _all(error, set()):
        told = _bare(each)
        if told is None:
            continue
        first, *others = str(each).splitlines() or [""]
        text = _replaced(text, first, told)
        for line in others:
            text = _replaced(text, line, "…")
    return text


def _replaced(text: str, line: str, told: str) -> str:
    return text.replace(line, told) if len(line.strip()) >= _SHORTEST else text


def _bare(error: BaseException) -> str | None:
    """The first line of its message without quotations; None if it may be told whole."""
    if isinstance(error, psycopg.Error):
        said = error.diag.message_primary or str(error).partition("\n")[0]
        state = f" ({error.sqlstate})" if error.sqlstate else ""
        return _QUOTED.sub("…", said) + state
    ours = type(error).__module__.partition(".")[0] in ("httpproxy", "providers")
    if ours or not isinstance(error, _QUOTING):
        return None
    return _QUOTED.sub("…", str(error).partition("\n")[0])


def _all(error: BaseException | None, seen: set[int]) -> Iterator[BaseException]:
    """The exception, those of its group, and those that led to them."""
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield error
    yield from _all(error.__cause__, seen)
    yield from _all(error.__context__, seen)
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _all(each, seen)
