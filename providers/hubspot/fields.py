"""Property types and values, both ways.

HubSpot sends and takes every property value as a string: "17", "false", "a;b", an ISO
8601 moment or the same as milliseconds since 1970. A column takes the value itself.
What a property's declared type does not explain is a `Misfit`, and the row keeps it
aside unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

import orjson

from providers.body import parse
from providers.record import JSON, ColumnType, Field
from providers.spec import Unreadable
from providers.values import Misfit, fit

_COLUMN_TYPES: Final[Mapping[str, ColumnType]] = {
    "string": ColumnType.TEXT,
    "number": ColumnType.NUMERIC,
    "bool": ColumnType.BOOLEAN,
    "date": ColumnType.DATE,
    "datetime": ColumnType.TIMESTAMPTZ,
    "enumeration": ColumnType.TEXT,
    "phone_number": ColumnType.TEXT,
    "object_coordinates": ColumnType.TEXT,
    "json": ColumnType.JSONB,
}
# How an enumeration is edited tells how many of its options a value holds.
_ENUMERATIONS: Final[Mapping[str, ColumnType]] = {
    "checkbox": ColumnType.TEXT_ARRAY,
    "booleancheckbox": ColumnType.BOOLEAN,
}
_BOOLEANS: Final = {"true": True, "false": False}
_SHORT_NUMBER: Final = re.compile(r"[+-]?\d{1,30}(\.\d{1,30})?", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def column_type(type_: str, field_type: str) -> ColumnType:
    """The column for a property's `type` and `fieldType`; unknown types are text."""
    if type_ == "enumeration":
        return _ENUMERATIONS.get(field_type, ColumnType.TEXT)
    return _COLUMN_TYPES.get(type_, ColumnType.TEXT)


def to_field(definition: Mapping[str, JSON]) -> Field | None:
    """A property definition as a field, None if it has no usable name."""
    name = definition.get("name")
    if not isinstance(name, str) or not name or name.startswith("$"):
        return None
    type_, field_type = str(definition.get("type")), str(definition.get("fieldType"))
    metadata = definition.get("modificationMetadata")
    read_only = isinstance(metadata, dict) and metadata.get("readOnlyValue") is True
    return Field(
        id=name,
        name=name,
        type=f"{type_}/{field_type}",
        column_type=column_type(type_, field_type),
        writable=not read_only and definition.get("calculated") is not True,
        options=_options(definition) if type_ == "enumeration" else None,
    )


def _options(definition: Mapping[str, JSON]) -> tuple[str, ...] | None:
    """The values that an enumeration takes; None if they are kept elsewhere (owners)."""
    listed = definition.get("options")
    if not isinstance(listed, list) or definition.get("externalOptions") is True:
        return None
    values = (each.get("value") for each in listed if isinstance(each, dict))
    return tuple(value for value in values if isinstance(value, str)) or None


def reader(type_: ColumnType) -> Callable[[JSON], JSON]:
    """What makes of an answer's property values what this column takes.

    It raises Misfit for a value that the column cannot hold. It is not asked about None
    and "", which is how HubSpot spells a cleared value.
    """
    return _READERS[type_]


def to_property(type_: ColumnType, value: JSON) -> str:
    """A column's value as a request spells it; None becomes "", which clears."""
    if value is None:
        return ""
    if type_ is ColumnType.JSONB:
        return orjson.dumps(value).decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ";".join(str(item) for item in value)
    return str(value)


def moment(value: JSON) -> str | None:
    """ISO 8601 with an offset, if the value is a moment at all."""
    try:
        return _to_moment(value) if isinstance(value, str) else None
    except Misfit:
        return None


def _to_text(value: JSON) -> JSON:
    return value if isinstance(value, str) else fit(ColumnType.TEXT, value)


def _to_numeric(value: JSON) -> JSON:
    # Nearly all numbers are short; `fit` looks at the others' size, too.
    if isinstance(value, str) and _SHORT_NUMBER.fullmatch(value):
        return value
    return fit(ColumnType.NUMERIC, value)


def _to_boolean(value: JSON) -> JSON:
    if isinstance(value, str) and (known := _BOOLEANS.get(value.lower())) is not None:
        return known
    return fit(ColumnType.BOOLEAN, value)


def _to_timestamptz(value: JSON) -> JSON:
    return _to_moment(value) if isinstance(value, str) else fit(ColumnType.TIMESTAMPTZ, value)


@lru_cache(maxsize=1024)  # an answer says the same moment up to four times
def _to_moment(text: str) -> str:
    if _is_milliseconds(text):
        return _since_epoch(text).isoformat()
    try:
        # Python reads ISO week dates and bare dates, which a column would read otherwise.
        stamp = datetime.fromisoformat(text)
    except ValueError as error:
        raise Misfit from error
    if stamp.tzinfo is None:
        stamp = stamp.replace(tzinfo=UTC)
    held = stamp.isoformat()
    if stamp.tzinfo is not UTC:
        fit(ColumnType.TIMESTAMPTZ, held)  # it may have an offset that Postgres refuses
    return held


def _to_date(value: JSON) -> JSON:
    return fit(ColumnType.DATE, value) if not isinstance(value, str) else _to_day(value)


@lru_cache(maxsize=4096)
def _to_day(text: str) -> JSON:
    return fit(ColumnType.DATE, _day_of(text))


def _day_of(text: str) -> str:
    if _is_milliseconds(text):
        return _since_epoch(text).date().isoformat()
    if len(text) == len("2026-01-31"):
        return text
    try:
        stamp = datetime.fromisoformat(text)
    except ValueError as error:
        raise Misfit from error
    if (stamp.hour, stamp.minute, stamp.second, stamp.microsecond) != (0, 0, 0, 0):
        raise Misfit
    return date(stamp.year, stamp.month, stamp.day).isoformat()


def _to_options(value: JSON) -> JSON:
    if not isinstance(value, str):
        return fit(ColumnType.TEXT_ARRAY, value)
    # Values written through forms begin with ";", which then separates nothing.
    return [option for option in value.split(";") if option]


def _to_json(value: JSON) -> JSON:
    if not isinstance(value, str):
        return value
    try:
        return parse(value.encode())
    except (Unreadable, UnicodeEncodeError) as error:
        raise Misfit from error


def _is_milliseconds(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isdecimal() and digits.isascii()


def _since_epoch(text: str) -> datetime:
    try:
        return _EPOCH + timedelta(milliseconds=int(text))
    except (OverflowError, ValueError) as error:
        raise Misfit from error


_READERS: Final[Mapping[ColumnType, Callable[[JSON], JSON]]] = {
    ColumnType.TEXT: _to_text,
    ColumnType.NUMERIC: _to_numeric,
    ColumnType.BOOLEAN: _to_boolean,
    ColumnType.DATE: _to_date,
    ColumnType.TIMESTAMPTZ: _to_timestamptz,
    ColumnType.TEXT_ARRAY: _to_options,
    ColumnType.JSONB: _to_json,
}
