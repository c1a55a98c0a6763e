"""Upstream values in the form that a column takes.

`fit` is strict: what it returns, Postgres accepts for that type. What it refuses
(`Misfit`) goes to the row's `_extra` unchanged, so no value is lost and no write
fails because of one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Final

from providers.record import JSON, ColumnType


class Misfit(ValueError):
    """The value cannot be held by a column of this type."""


# Far inside numeric's range of 131072 digits before and 16383 after the point.
_MAX_EXPONENT: Final = 1000
_MAX_BITS: Final = 14_000  # Python writes decimals of up to 4,300 digits
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# Python also reads week dates, any separator and offsets of a day, which Postgres refuses.
_MOMENT: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}"
    r"([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)?)?",
    re.ASCII,
)
_MAX_OFFSET: Final = timedelta(hours=16)
_DECIMAL: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)


def fit(column_type: ColumnType, value: JSON) -> JSON:
    """The value as `column_type` takes it; None stays None. Raises Misfit."""
    return None if value is None else _FITTERS[column_type](value)


def fitter(column_type: ColumnType) -> Callable[[JSON], JSON]:
    """`fit` for one type, for values that are not None."""
    return _FITTERS[column_type]


def _text(value: JSON) -> JSON:
    """A number or a boolean is its own text: a field may have been a text before it
    became a number, and its column is one still."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() <= _MAX_BITS:
        return str(value)
    if isinstance(value, float) and isfinite(value):
        return repr(value)
    raise Misfit


def _numeric(value: JSON) -> JSON:
    if isinstance(value, bool):
        raise Misfit
    if isinstance(value, int) or (isinstance(value, float) and isfinite(value)):
        return value
    if isinstance(value, str) and len(value) <= 1000 and _DECIMAL.fullmatch(value):
        try:
            number = Decimal(value)
        except InvalidOperation as error:
            raise Misfit from error
        if abs(number.adjusted()) <= _MAX_EXPONENT:
            return value
    raise Misfit


def _boolean(value: JSON) -> JSON:
    if isinstance(value, bool):
        return value
    raise Misfit


def _date(value: JSON) -> JSON:
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            date.fromisoformat(value)
        except ValueError as error:
            raise Misfit from error
        return value
    raise Misfit


def _timestamptz(value: JSON) -> JSON:
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError as error:
            raise Misfit from error
        if value[-1] == "Z":
            return value
        if abs(moment.utcoffset() or timedelta()) >= _MAX_OFFSET:
            raise Misfit
        # Without an offset Postgres would read it in the session's time zone.
        return value if moment.tzinfo else f"{moment.isoformat()}+00:00"
    raise Misfit


def _text_array(value: JSON) -> JSON:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise Misfit


def _jsonb(value: JSON) -> JSON:
    return value


_FITTERS: Final[Mapping[ColumnType, Callable[[JSON], JSON]]] = {
    ColumnType.TEXT: _text,
    ColumnType.NUMERIC: _numeric,
    ColumnType.BOOLEAN: _boolean,
    ColumnType.DATE: _date,
    ColumnType.TIMESTAMPTZ: _timestamptz,
    ColumnType.TEXT_ARRAY: _text_array,
    ColumnType.JSONB: _jsonb,
}
