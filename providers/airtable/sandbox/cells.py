"""Written cells: accepted as they are, cast if the client asked for it, or refused.

One function per field type says what a written value is stored as; None empties the
cell. What a cast has to create first (select options, linked records) is noted in the
plan, so that nothing is created for a request that is refused further on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn
from urllib.parse import unquote

from providers.airtable.sandbox.call import Call
from providers.airtable.sandbox.errors import bad_value, no_row, unknown_field, unknown_option
from providers.airtable.sandbox.shown import COMPUTED_TYPES
from providers.airtable.sandbox.state import (
    FieldState,
    TableState,
    iso,
    parse_moment,
)
from providers.record import JSON

_COLORS: Final = ("blueLight2", "cyanLight2", "tealLight2", "greenLight2", "yellowLight2")
_MEDIA: Final = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "pdf": "application/pdf",
    "csv": "text/csv",
    "txt": "text/plain",
}


@dataclass(slots=True)
class Plan:
    """What a request will create besides its records, once all of it is accepted.

    `rows`: (linked table, record id, primary value); `options`: (field, name).
    """

    rows: list[tuple[TableState, str, str]] = field(default_factory=list)
    options: list[tuple[FieldState, str]] = field(default_factory=list)
    failed_attachments: bool = False


@dataclass(slots=True)
class Writer:
    """Accepts the written cells of one request to one table."""

    call: Call
    table: TableState
    typecast: bool
    plan: Plan = field(default_factory=Plan)

    def cells(self, written: Mapping[str, JSON]) -> dict[str, JSON]:
        """Field ids to stored values, None for cells to be emptied. Raises Refusal."""
        found: dict[str, JSON] = {}
        for name, value in written.items():
            known = self.table.find_field(name)
            if known is None:
                raise unknown_field(name)
            found[known.id] = self.cell(known, value)
        return found

    def cell(self, known: FieldState, value: JSON) -> JSON:
        """The stored form of one written value. Raises Refusal."""
        if known.type in COMPUTED_TYPES:
            raise bad_value(known.name, "a value because the field is computed")
        if value is None:
            return None
        accept = _ACCEPT.get(known.type)
        stored = value if accept is None else accept(self, known, value)
        return None if stored in ("", []) else stored

    def linked_row(self, there: TableState, name: str) -> str:
        """The id of the record with this primary value, which may have to be made."""
        for record in there.records.values():
            if record.cells.get(there.primary) == name:
                return record.id
        for table, made, primary in self.plan.rows:
            if table is there and primary == name:
                return made
        made = self.call.world.new_id("rec")
        self.plan.rows.append((there, made, name))
        return made

    def option(self, known: FieldState, name: str) -> str:
        """The name of a select option, which a cast may make. Raises Refusal."""
        if any(choice.get("name") == name for choice in known.choices):
            return name
        if not self.typecast:
            raise unknown_option(name)
        if (known, name) not in self.plan.options:
            self.plan.options.append((known, name))
        return name

    def apply_options(self) -> None:
        """Creates the select options that the request's casts need."""
        for known, name in self.plan.options:
            color = _COLORS[len(known.choices) % len(_COLORS)]
            known.choices.append(
                {"id": self.call.world.new_id("sel"), "name": name, "color": color}
            )


def attachment(call: Call, url: str, name: str, size: int, media: str = "") -> dict[str, JSON]:
    """A new attachment as it is stored; `at` is when."""
    guessed = _MEDIA.get(name.rpartition(".")[2].lower(), "application/octet-stream")
    return {
        "id": call.world.new_id("att"),
        "url": url,
        "filename": name,
        "size": size,
        "type": media or guessed,
        "at": call.now,
    }


def _refuse(known: FieldState) -> NoReturn:
    raise bad_value(known.name)


def _text(writer: Writer, known: FieldState, value: JSON) -> JSON:
    if isinstance(value, str):
        return value
    if writer.typecast and isinstance(value, int | float):
        return str(value)
    _refuse(known)


def _number(writer: Writer, known: FieldState, value: JSON) -> JSON:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if writer.typecast and isinstance(value, str):
        try:
            number = float(value.strip().lstrip("$€").replace(",", ""))
        except ValueError:
            return None
        if number - number != 0:
            return None
        return int(number) if number.is_integer() else number
    _refuse(known)


def _rating(writer: Writer, known: FieldState, value: JSON) -> JSON:
    rating = _number(writer, known, value)
    most = known.options.get("max", 5)
    if isinstance(rating, int) and isinstance(most, int) and 0 <= rating <= most:
        return rating or None
    _refuse(known)


def _checkbox(writer: Writer, known: FieldState, value: JSON) -> JSON:
    if writer.typecast and isinstance(value, str | int):
        value = str(value).lower() in ("true", "1", "checked", "yes")
    if isinstance(value, bool):
        return True if value else None
    _refuse(known)


def _date(_writer: Writer, known: FieldState, value: JSON) -> JSON:
    at = parse_moment(value) if isinstance(value, str) else None
    if at is None:
        return None if value == "" else _refuse(known)
    return iso(at)[:10]


def _datetime(_writer: Writer, known: FieldState, value: JSON) -> JSON:
    at = parse_moment(value) if isinstance(value, str) else None
    if at is None:
        return None if value == "" else _refuse(known)
    return iso(at)


def _select(writer: Writer, known: FieldState, value: JSON) -> JSON:
    if not isinstance(value, str):
        _refuse(known)
    return writer.option(known, value) if value else None


def _selects(writer: Writer, known: FieldState, value: JSON) -> JSON:
    if writer.typecast and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list):
        _refuse(known)
    names = [name if isinstance(name, str) else _refuse(known) for name in value]
    return [writer.option(known, name) for name in dict.fromkeys(names)]


def _links(writer: Writer, known: FieldState, value: JSON) -> JSON:
    there = writer.call.base.tables.get(known.option("linkedTableId"))
    if writer.typecast and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if there is None or not isinstance(value, list):
        _refuse(known)
    found: dict[str, None] = {}
    for item in value:
        spelled = item.get("id") if isinstance(item, dict) else item
        if not isinstance(spelled, str):
            _refuse(known)
        if spelled in there.records:
            found[spelled] = None
        elif writer.typecast and not spelled.startswith("rec"):
            found[writer.linked_row(there, spelled)] = None
        else:
            raise no_row(spelled)
    return list(found)


def _person(writer: Writer, known: FieldState, value: JSON) -> JSON:
    spelled = value.get("id") or value.get("email") if isinstance(value, dict) else None
    if writer.typecast and isinstance(value, str):
        spelled = value
    found = writer.call.world.person(spelled) if isinstance(spelled, str) else None
    return found if found is not None else _refuse(known)


def _people(writer: Writer, known: FieldState, value: JSON) -> JSON:
    if not isinstance(value, list):
        _refuse(known)
    return [_person(writer, known, item) for item in value]


def _attachments(writer: Writer, known: FieldState, value: JSON) -> JSON:
    if not isinstance(value, list):
        _refuse(known)
    found: list[JSON] = []
    for item in value:
        if not isinstance(item, dict):
            _refuse(known)
        url, known_id = item.get("url"), item.get("id")
        if isinstance(known_id, str):
            found.append(_stored_attachment(writer.table, known, known_id) or _refuse(known))
        elif not isinstance(url, str) or not url.startswith(("http://", "https://")):
            _refuse(known)
        elif writer.call.switches.partial_success:
            writer.plan.failed_attachments = True
        else:
            name = item.get("filename") or unquote(url.partition("?")[0].rpartition("/")[2])
            found.append(attachment(writer.call, url, str(name or "file"), 1000 + len(url)))
    return found


def _stored_attachment(table: TableState, known: FieldState, known_id: str) -> JSON:
    """The attachment with this id in any record of the table; None if there is none."""
    for record in table.records.values():
        items = record.cells.get(known.id)
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict) and item["id"] == known_id:
                return item
    return None


def _barcode(_writer: Writer, known: FieldState, value: JSON) -> JSON:
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        return {name: value[name] for name in ("type", "text") if name in value}
    _refuse(known)


_ACCEPT: Final[Mapping[str, Callable[[Writer, FieldState, JSON], JSON]]] = {
    "singleLineText": _text,
    "multilineText": _text,
    "richText": _text,
    "email": _text,
    "url": _text,
    "phoneNumber": _text,
    "number": _number,
    "currency": _number,
    "percent": _number,
    "duration": _number,
    "rating": _rating,
    "checkbox": _checkbox,
    "date": _date,
    "dateTime": _datetime,
    "singleSelect": _select,
    "multipleSelects": _selects,
    "multipleRecordLinks": _links,
    "singleCollaborator": _person,
    "multipleCollaborators": _people,
    "multipleAttachments": _attachments,
    "barcode": _barcode,
}
