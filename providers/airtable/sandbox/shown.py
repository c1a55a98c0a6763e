"""What a reader of the simulated Airtable sees: computed cells, records as JSON.

Stored cells are shown as they are; lookups, rollups, counts, formulas, times and
authors are computed when they are asked for. Empty cells are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from providers.airtable.sandbox.formula import FormulaError, compiled
from providers.airtable.sandbox.functions import CellError, Moment, Value, text
from providers.airtable.sandbox.state import (
    BaseState,
    FieldState,
    RecordState,
    TableState,
    World,
    iso,
    iso_second,
    parse_moment,
)
from providers.record import JSON

_MAX_CHAIN: Final = 8  # lookups of lookups, formulas of formulas
_DATES: Final = frozenset({"date", "dateTime", "createdTime", "lastModifiedTime"})


@dataclass(frozen=True, slots=True)
class View:
    """A base at a moment, as a reader sees it."""

    world: World
    base: BaseState
    now: float
    attachment_delay: float = 0.0

    def cell(
        self, table: TableState, record: RecordState, field: FieldState, chain: int = 0
    ) -> JSON:
        """The cell's value as the API shows it; None if it is empty."""
        if chain > _MAX_CHAIN:
            return None
        compute = _COMPUTED.get(field.type)
        if compute is not None:
            return compute(self, Seat(self, table, record, chain + 1), field)
        value = record.cells.get(field.id)
        if field.type == "multipleAttachments" and isinstance(value, list):
            return [self._attachment(item) for item in value if isinstance(item, dict)]
        return value

    def _attachment(self, stored: Mapping[str, JSON]) -> JSON:
        at = stored.get("at")
        young = isinstance(at, int | float) and self.now < at + self.attachment_delay
        hidden = {"at", "size", "type"} if young else {"at"}
        return {name: value for name, value in stored.items() if name not in hidden}

    def record(
        self,
        table: TableState,
        record: RecordState,
        *,
        by_id: bool = False,
        only: Iterable[str] | None = None,
        shape: Callable[[FieldState, JSON], JSON] | None = None,
    ) -> dict[str, JSON]:
        """The record as an answer has it; `only` some field ids, cells shaped by `shape`."""
        fields: dict[str, JSON] = {}
        wanted = table.fields if only is None else set(only)
        for field in table.fields.values():
            if field.id not in wanted:
                continue
            value = self.cell(table, record, field)
            if value in (None, "", []) or value is False:
                continue
            fields[field.id if by_id else field.name] = shape(field, value) if shape else value
        return {"id": record.id, "createdTime": iso_second(record.created), "fields": fields}

    def linked(self, seat: Seat, link_id: str) -> tuple[TableState | None, list[RecordState]]:
        """The table that a link field leads to and the records in the cell."""
        link = seat.table.fields.get(link_id)
        there = self.base.tables.get(link.option("linkedTableId")) if link else None
        ids = seat.record.cells.get(link_id)
        if there is None or not isinstance(ids, list):
            return there, []
        return there, [
            there.records[i] for i in ids if isinstance(i, str) and i in there.records
        ]


@dataclass(frozen=True, slots=True)
class Seat:
    """A record in its table: the row that formulas are about."""

    view: View
    table: TableState
    record: RecordState
    chain: int = 0

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def created(self) -> Moment:
        return Moment(self.record.created)

    @property
    def now(self) -> Moment:
        return Moment(self.view.now)

    def field(self, name: str) -> Value:
        found = self.table.find_field(name)
        if found is None:
            raise CellError(f"no field {name}")
        if found.type == "multipleRecordLinks":
            return self._linked_names(found)
        value = self.view.cell(self.table, self.record, found, self.chain)
        if isinstance(value, dict) and ("error" in value or "specialValue" in value):
            raise CellError(f"field {name} is in error")
        return _value(found, value)

    def _linked_names(self, link: FieldState) -> Value:
        """Formulas see linked records by their names, not by their ids."""
        there, records = self.view.linked(self, link.id)
        return [_plain(r.cells.get(there.primary)) for r in records] if there else []

    def modified(self, names: Sequence[str]) -> Moment:
        if not names:
            return Moment(self.record.modified)
        found = (self.table.find_field(name) for name in names)
        return Moment(
            max((self.record.touched.get(f.id, 0.0) for f in found if f), default=0.0)
        )


def _value(field: FieldState, shown: JSON) -> Value:
    if field.type == "checkbox":
        return shown is True
    if isinstance(shown, str) and field.type in _DATES:
        at = parse_moment(shown)
        return shown if at is None else Moment(at)
    return _plain(shown)


def _plain(shown: JSON) -> Value:
    if isinstance(shown, list):
        return [_plain(item) for item in shown]
    if isinstance(shown, dict):
        for name in ("text", "filename", "name", "value", "email", "label"):
            if isinstance(shown.get(name), str):
                return _plain(shown[name])
        return None
    return shown


def _formula(_view: View, seat: Seat, field: FieldState) -> JSON:
    try:
        value = compiled(field.option("formula")).evaluate(seat)
    except (CellError, FormulaError):
        return {"error": "#ERROR!"}
    if isinstance(value, Moment):
        return iso(value.at)
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and value != value:  # noqa: PLR0124  # NaN
        return {"specialValue": "NaN"}
    return text(value) if isinstance(value, list) else value


def _lookup(view: View, seat: Seat, field: FieldState) -> JSON:
    there, records = view.linked(seat, field.option("recordLinkFieldId"))
    target = there.fields.get(field.option("fieldIdInLinkedTable")) if there else None
    if there is None or target is None:
        return None
    found: list[JSON] = []
    for record in records:
        value = view.cell(there, record, target, seat.chain)
        if value is not None:
            found.extend(value if isinstance(value, list) else [value])
    return found or None


def _rollup(view: View, seat: Seat, field: FieldState) -> JSON:
    found = _lookup(view, seat, field)
    if not isinstance(found, list):
        return 0 if field.option("aggregation") in ("", "SUM") else None
    numbers = [n for n in found if isinstance(n, int | float) and not isinstance(n, bool)]
    if len(numbers) < len(found):
        return text(_plain(found))
    aggregate = {"MAX": max, "MIN": min}.get(field.option("aggregation"), sum)
    return aggregate(numbers)


def _count(view: View, seat: Seat, field: FieldState) -> JSON:
    return len(view.linked(seat, field.option("recordLinkFieldId"))[1])


def _modified(_view: View, seat: Seat, field: FieldState) -> JSON:
    names = field.options.get("referencedFieldIds")
    ids = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    at = seat.modified(ids).at
    return iso(at) if at else None


def _button(_view: View, _seat: Seat, field: FieldState) -> JSON:
    return {"label": field.option("label") or field.name, "url": None}


def _generated(_view: View, seat: Seat, field: FieldState) -> JSON:
    return seat.record.cells.get(field.id, {"state": "empty", "isStale": False, "value": None})


_COMPUTED: Final[Mapping[str, Callable[[View, Seat, FieldState], JSON]]] = {
    "formula": _formula,
    "multipleLookupValues": _lookup,
    "rollup": _rollup,
    "count": _count,
    "autoNumber": lambda _view, seat, _field: seat.record.number,
    "createdTime": lambda _view, seat, _field: iso_second(seat.record.created),
    "lastModifiedTime": _modified,
    "createdBy": lambda view, seat, _field: view.world.person(seat.record.author),
    "lastModifiedBy": lambda view, seat, _field: view.world.person(seat.record.editor),
    "button": _button,
    "aiText": _generated,
}

# What no client can write: the above, and what Airtable fills from elsewhere.
COMPUTED_TYPES: Final = frozenset(_COMPUTED) | {"externalSyncSource"}


def as_string(field: FieldState, value: JSON) -> JSON:
    """A cell under `cellFormat=string`: what the grid would show, roughly."""
    if field.type == "checkbox":
        return "checked" if value else ""
    if field.type == "percent" and isinstance(value, int | float):
        return f"{value * 100:g}%"
    return text(_plain(value))
