"""Records in one flat shape, as streams tell them and mutations take them.

    {"id": "rec…", "createdTime": …, "Name": …}

`id` comes first, then what the API said of the record under the fields' own upstream names,
each value as JSON of its column's type: numbers are numbers, moments are in UTC. What a
column cannot hold stays as the API spelled it.

Names are unique: a system field keeps its own, and a user's field of the same name is
found under its id, or with underscores at its end. The ends of an association are named
like their columns (`company_id`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Final

from providers.record import JSON, Collection, ColumnType, Field

_LARGEST: Final = 2**63  # readers of JSON take integers of 64 bits


def public_names(collection: Collection) -> Mapping[str, str]:
    """Field id -> the name under which the flat shape has the field."""
    return collection.once(_named)


def flat(
    collection: Collection,
    record_id: str,
    values: Mapping[str, JSON],
    extra: Mapping[str, JSON],
    *,
    omits_empty: bool = False,
) -> dict[str, JSON]:
    """A record in the flat shape.

    `values` are by field id, as an image or a row has them; `extra`, by upstream name, is
    what no column holds. `omits_empty`: the API leaves empty cells out, and so do we.
    """
    names = public_names(collection)
    found: dict[str, JSON] = {"id": record_id}
    for field in collection.fields:
        if field.id in values:
            value = values[field.id]
            if not (omits_empty and (value is None or value is field.empty)):
                found[names[field.id]] = as_json(field.column_type, value)
    for name, raw in extra.items():
        known = collection.by_name.get(name)
        if known is not None:
            found[names[known.id]] = raw
        else:
            found.setdefault(name, raw)
    return found


def as_json(column_type: ColumnType, value: JSON) -> JSON:
    """A column's value as JSON.

    A decimal string becomes a number if a reader of JSON gets all its digits from it, and
    stays a string otherwise; a moment is told in UTC, in microseconds.
    """
    if column_type is ColumnType.NUMERIC and isinstance(value, str):
        return number(value)
    if column_type is ColumnType.NUMERIC and isinstance(value, int) and abs(value) >= _LARGEST:
        return str(value)
    if column_type is ColumnType.TIMESTAMPTZ and isinstance(value, str):
        return _moment(value)
    return value


def _named(collection: Collection) -> Mapping[str, str]:
    found: dict[str, str] = {}
    taken = {"id"}
    for field in sorted(collection.fields, key=lambda each: each.id[0] != "$"):
        name = _name(field, collection)
        if name in taken and field.id != "$id":
            name = field.id
        while name in taken and field.id != "$id":
            name += "_"
        found[field.id] = name
        taken.add(name)
    return found


def _name(field: Field, collection: Collection) -> str:
    is_end = len(collection.key) > 1 and field.id in collection.key
    return (field.column_name if is_end else None) or field.name


@lru_cache(maxsize=4096)
def number(text: str) -> int | float | str:
    """A decimal as a number, if a reader of JSON gets all its digits from it; else the text."""
    try:
        exact = Decimal(text)
    except InvalidOperation:
        return text
    if exact == exact.to_integral_value():
        whole = int(exact) if abs(exact) < _LARGEST else None
        return text if whole is None else whole
    near = float(exact)
    return near if Decimal(repr(near)) == exact else text


@lru_cache(maxsize=4096)
def _moment(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        in_utc = aware.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):  # Postgres knows years that Python does not
        return text
    return f"{in_utc.isoformat(timespec='microseconds')}Z"
