"""Airtable's field types, and cell values both ways.

A table says for each type which column holds it and what an omitted cell means;
Airtable leaves every empty cell out of its answers ("", [], false and null alike).
Types that the table does not list are stored as jsonb: Airtable adds new ones and
does not call that a breaking change.

`Field.type` is Airtable's own name of the type. A link carries the table it leads
to, "multipleRecordLinks:tblX", because writing a link changes rows over there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final

from providers.record import JSON, ColumnType, Field
from providers.values import Misfit, fit, fitter

LINK: Final = "multipleRecordLinks"

_LINKED_TO: Final = f"{LINK}:"

ID: Final = Field("$id", "id", "id", ColumnType.TEXT, writable=False, column_name="id")
CREATED_TIME: Final = Field(
    "$created_time",
    "createdTime",
    "createdTime",
    ColumnType.TIMESTAMPTZ,
    writable=False,
    column_name="created_time",
)
SYSTEM_FIELDS: Final = (ID, CREATED_TIME)


class ReadOnly(ValueError):
    """The field is computed by Airtable; no value can be written to it."""


@dataclass(frozen=True, slots=True)
class FieldType:
    """How one of Airtable's types is stored. `written` spells a column's value for a write."""

    column_type: ColumnType
    writable: bool = True
    empty: JSON = None
    written: Callable[[JSON], JSON] = lambda value: value


def _number(value: JSON) -> JSON:
    """Decimals leave the database as strings and must reach Airtable as numbers."""
    if not isinstance(value, str):
        return value
    number = Decimal(value)
    return int(number) if number == number.to_integral_value() else float(number)


def _person(value: JSON) -> JSON:
    """Airtable accepts an id or an e-mail address, and refuses the rest."""
    if isinstance(value, dict):
        for name in ("id", "email"):
            if name in value:
                return {name: value[name]}
    return value


def _people(value: JSON) -> JSON:
    return [_person(item) for item in value] if isinstance(value, list) else value


def _attachment(value: JSON) -> JSON:
    """A kept attachment is named by its id; a new one by url and filename."""
    if isinstance(value, dict):
        names = ("id",) if "id" in value else ("url", "filename")
        return {name: value[name] for name in names if name in value}
    return value


def _attachments(value: JSON) -> JSON:
    return [_attachment(item) for item in value] if isinstance(value, list) else value


def _list(value: JSON) -> JSON:
    return [] if value is None else value


_TEXT: Final = FieldType(ColumnType.TEXT)
_NUMBER: Final = FieldType(ColumnType.NUMERIC, written=_number)
_MOMENT: Final = FieldType(ColumnType.TIMESTAMPTZ)
_LISTED: Final = FieldType(ColumnType.TEXT_ARRAY, written=_list)
_COMPUTED: Final = FieldType(ColumnType.JSONB, writable=False)
_COMPUTED_NUMBER: Final = FieldType(ColumnType.NUMERIC, writable=False)
_COMPUTED_MOMENT: Final = FieldType(ColumnType.TIMESTAMPTZ, writable=False)

_UNKNOWN: Final = FieldType(ColumnType.JSONB)
_SELECTS: Final = ("singleSelect", "multipleSelects")

FIELD_TYPES: Final[Mapping[str, FieldType]] = {
    "singleLineText": _TEXT,
    "multilineText": _TEXT,
    "richText": _TEXT,
    "email": _TEXT,
    "url": _TEXT,
    "phoneNumber": _TEXT,
    "singleSelect": _TEXT,
    "number": _NUMBER,
    "currency": _NUMBER,
    "percent": _NUMBER,
    "duration": _NUMBER,
    "rating": _NUMBER,
    "checkbox": FieldType(ColumnType.BOOLEAN, empty=False),
    "date": FieldType(ColumnType.DATE),
    "dateTime": _MOMENT,
    "multipleSelects": _LISTED,
    LINK: _LISTED,
    "singleCollaborator": FieldType(ColumnType.JSONB, written=_person),
    "multipleCollaborators": FieldType(ColumnType.JSONB, written=_people),
    "multipleAttachments": FieldType(ColumnType.JSONB, written=_attachments),
    "barcode": FieldType(ColumnType.JSONB),
    "formula": _COMPUTED,  # these two by options.result, see `_type_of`
    "rollup": _COMPUTED,
    "multipleLookupValues": _COMPUTED,
    "count": _COMPUTED_NUMBER,
    "autoNumber": _COMPUTED_NUMBER,
    "createdTime": _COMPUTED_MOMENT,
    "lastModifiedTime": _COMPUTED_MOMENT,
    "createdBy": _COMPUTED,
    "lastModifiedBy": _COMPUTED,
    "button": _COMPUTED,
    "aiText": _COMPUTED,
    "externalSyncSource": FieldType(ColumnType.TEXT, writable=False),
}

# What a change in one table can alter in the tables linked with it.
DERIVED_TYPES: Final = frozenset(
    {"formula", "rollup", "multipleLookupValues", "count", "aiText"}
)


def _type_of(kind: str, options: Mapping[str, JSON]) -> FieldType:
    found = FIELD_TYPES.get(kind, _UNKNOWN)
    result = options.get("result")
    if kind in ("formula", "rollup") and isinstance(result, dict):
        of = FIELD_TYPES.get(str(result.get("type")), _UNKNOWN)
        return FieldType(of.column_type, writable=False, empty=of.empty)
    return found


def field_from_metadata(field: Mapping[str, JSON]) -> Field:
    """The Field that one entry of a table's metadata describes.

    `field` is {"id", "name", "type", "options"?}. Raises KeyError if id, name or type
    is missing.
    """
    kind = str(field["type"])
    options = field.get("options")
    options = options if isinstance(options, dict) else {}
    found = _type_of(kind, options)
    linked = options.get("linkedTableId")
    return Field(
        id=str(field["id"]),
        name=str(field["name"]),
        type=f"{_LINKED_TO}{linked}" if kind == LINK and linked else kind,
        column_type=found.column_type,
        writable=found.writable,
        empty=found.empty,
        options=_options(kind, options),
    )


def _options(kind: str, options: Mapping[str, JSON]) -> tuple[str, ...] | None:
    """The names of a select's options; None for other types, and if they are not told."""
    choices = options.get("choices")
    if kind not in _SELECTS or not isinstance(choices, list):
        return None
    named = (each.get("name") for each in choices if isinstance(each, dict))
    return tuple(name for name in named if isinstance(name, str))


def linked_table(field: Field) -> str | None:
    """The id of the table that a link field leads to; None for every other field."""
    return field.type[len(_LINKED_TO) :] if field.type.startswith(_LINKED_TO) else None


_MIDNIGHT: Final = "T00:00:00.000Z"
_UTC: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z", re.ASCII)
_fit_date: Final = fitter(ColumnType.DATE)
_fit_moment: Final = fitter(ColumnType.TIMESTAMPTZ)
_fit_texts: Final = fitter(ColumnType.TEXT_ARRAY)


def column_fitter(field: Field) -> Callable[[JSON], JSON]:
    """How the field's column takes a cell's value that is not null.

    The function raises Misfit for a value that does not fit, such as the
    {"specialValue": "NaN"} of a number formula; the caller keeps the original.
    """
    return _FITTERS.get(field.column_type) or fitter(field.column_type)


def _date(raw: JSON) -> JSON:
    return _day(raw) if isinstance(raw, str) else _fit_date(raw)


@lru_cache(maxsize=4096)
def _day(text: str) -> JSON:
    # A table of many thousand records has a few hundred days.
    return _fit_date(text.removesuffix(_MIDNIGHT))


def _moment(raw: JSON) -> JSON:
    # As Airtable spells all of them; any other spelling takes the longer way.
    if isinstance(raw, str) and _UTC.fullmatch(raw):
        try:
            datetime.fromisoformat(raw)
        except ValueError as error:
            raise Misfit from error
        return raw
    return _fit_moment(raw)


def _texts(raw: JSON) -> JSON:
    if type(raw) is list:
        for item in raw:
            if type(item) is not str:
                break
        else:
            return raw
    return _fit_texts(raw)


_FITTERS: Final[Mapping[ColumnType, Callable[[JSON], JSON]]] = {
    ColumnType.DATE: _date,
    ColumnType.TIMESTAMPTZ: _moment,
    ColumnType.TEXT_ARRAY: _texts,
}


def from_column(field: Field, value: JSON) -> JSON:
    """A column's value as a write to Airtable spells it. Raises ReadOnly, ValueError."""
    if not field.writable:
        raise ReadOnly(f"{field.name} is computed by Airtable")
    kind = FIELD_TYPES.get(field.type.partition(":")[0], _UNKNOWN)
    return kind.written(fit(field.column_type, value))


def settled(raw: JSON) -> bool:
    """False for a cell that Airtable is still working on: its value will change unasked.

    New attachments lack size and type for a moment; generated text is "loading".
    """
    if isinstance(raw, list):
        return not any(isinstance(i, dict) and "url" in i and "type" not in i for i in raw)
    return not (isinstance(raw, dict) and raw.get("state") == "loading")
