"""Creating, updating, replacing, merging and deleting records.

A request is checked whole before anything of it is written (unless the switch
`atomic_batches` is off), and answered with the complete records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from providers.airtable.sandbox.call import Call
from providers.airtable.sandbox.cells import Writer
from providers.airtable.sandbox.edits import Cells, Edits
from providers.airtable.sandbox.errors import (
    invalid,
    missing_fields,
    no_row,
    unknown_field,
)
from providers.airtable.sandbox.payloads import publish
from providers.airtable.sandbox.shown import COMPUTED_TYPES, View
from providers.airtable.sandbox.state import FieldState, RecordState, TableState
from providers.record import JSON

BATCH: Final = 10

_MERGEABLE: Final = frozenset(
    {
        "number",
        "currency",
        "percent",
        "duration",
        "rating",
        "singleLineText",
        "multilineText",
        "email",
        "url",
        "phoneNumber",
        "singleSelect",
        "multipleSelects",
        "date",
        "dateTime",
    }
)


@dataclass(slots=True)
class Write:
    """One accepted record of a request: cells, and the record they go to, None for new."""

    cells: Cells
    target: RecordState | None


def view_of(call: Call) -> View:
    """The call's base as its caller sees it."""
    return View(call.world, call.base, call.now, call.switches.attachment_delay)


def get(call: Call) -> JSON:
    """GET one record; `base_wide_get` finds it under any table of the base."""
    from_query = dict(call.request.query)
    by_id = from_query.get("returnFieldsByFieldId") in ("true", "1")
    tables = [call.table]
    if call.switches.base_wide_get:
        tables.extend(call.base.tables.values())
    for table in tables:
        found = table.records.get(call.variables["record"])
        if found is not None:
            return view_of(call).record(table, found, by_id=by_id)
    raise call.missing()


def create(call: Call) -> JSON:
    """POST: one record, or up to ten under `records`."""
    writer = Writer(call, call.table, call.flag("typecast"))
    written = _written(call)
    single = "records" not in call.asked
    return _answer(call, writer, (_accepted(writer, item, None) for item in written), single)


def update(call: Call) -> JSON:
    """PATCH or PUT at the record's own path."""
    writer = Writer(call, call.table, call.flag("typecast"))
    writes = (_accepted(writer, item, call.record) for item in _written(call)[:1])
    return _answer(call, writer, writes, single=True)


def update_many(call: Call) -> JSON:
    """PATCH or PUT at the table's path: up to ten records by id, or merged by fields."""
    writer = Writer(call, call.table, call.flag("typecast"))
    written = _written(call)
    if "performUpsert" in call.asked:
        return _upsert(call, writer, written)
    single = "records" not in call.asked
    return _answer(call, writer, _targeted(writer, written), single)


def delete(call: Call) -> JSON:
    """DELETE at the record's own path."""
    edits = Edits(call)
    record = call.record
    edits.delete(call.table, record)
    publish(edits)
    return {"id": record.id, "deleted": True}


def delete_many(call: Call) -> JSON:
    """DELETE at the table's path: the ids are in the query, bracketed or not."""
    ids = [v for k, v in call.request.query if k.partition("[")[0] == "records"]
    if not 0 < len(ids) <= BATCH:
        raise invalid()
    records = call.table.records
    if any(record_id not in records for record_id in ids):
        raise call.missing()
    edits = Edits(call)
    for record_id in dict.fromkeys(ids):
        edits.delete(call.table, records[record_id])
    publish(edits)
    return {"records": [{"id": record_id, "deleted": True} for record_id in ids]}


def _written(call: Call) -> list[dict[str, JSON]]:
    """The records of the request's body, each with an object `fields`. Raises Refusal."""
    asked = call.asked
    records = asked.get("records", [asked])
    if not isinstance(records, list) or not 0 < len(records) <= BATCH:
        raise invalid()
    found = [record for record in records if isinstance(record, dict)]
    if len(found) < len(records):
        raise invalid()
    if any(not isinstance(record.get("fields"), dict) for record in found):
        raise missing_fields()
    return found


def _accepted(writer: Writer, item: dict[str, JSON], target: RecordState | None) -> Write:
    fields = item["fields"]
    cells = writer.cells(fields if isinstance(fields, dict) else {})
    if target is not None and writer.call.request.method == "PUT":
        emptied = (f.id for f in writer.table.fields.values() if f.type not in COMPUTED_TYPES)
        cells = {**dict.fromkeys(emptied), **cells}
    return Write(cells, target)


def _targeted(writer: Writer, written: Iterable[dict[str, JSON]]) -> Iterator[Write]:
    for item in written:
        yield _accepted(writer, item, _target(writer.call, item))


def _target(call: Call, item: dict[str, JSON]) -> RecordState:
    record_id = item.get("id")
    if not isinstance(record_id, str):
        raise invalid()
    found = call.table.records.get(record_id)
    if found is None:
        raise no_row(record_id)
    return found


def _answer(call: Call, writer: Writer, writes: Iterable[Write], single: bool) -> JSON:
    edits = Edits(call)
    if call.switches.atomic_batches:
        writes = list(writes)
    try:
        records = [_apply(edits, writer, write) for write in writes]
    finally:
        publish(edits)
    shown = _shown(call, records)
    answer: dict[str, JSON] = shown[0] if single else {"records": list(shown)}
    return _with_details(call, writer, answer)


def _apply(edits: Edits, writer: Writer, write: Write) -> RecordState:
    writer.apply_options()
    for table, record_id, primary in writer.plan.rows:
        edits.create(table, {table.primary: primary}, record_id)
    writer.plan.options.clear()
    writer.plan.rows.clear()
    if write.target is None:
        return edits.create(writer.table, write.cells)
    edits.update(writer.table, write.target, write.cells)
    return write.target


def _shown(call: Call, records: Iterable[RecordState]) -> list[dict[str, JSON]]:
    view, by_id = view_of(call), call.flag("returnFieldsByFieldId")
    return [view.record(call.table, record, by_id=by_id) for record in records]


def _with_details(call: Call, writer: Writer, answer: dict[str, JSON]) -> JSON:
    if writer.plan.failed_attachments:
        answer["details"] = {
            "message": "partialSuccess",
            "reasons": [call.switches.partial_success],
        }
    return answer


def _upsert(call: Call, writer: Writer, written: list[dict[str, JSON]]) -> JSON:
    merge_on = _merge_fields(call)
    writes: list[Write] = []
    for item in written:
        if "id" in item:
            writes.append(_accepted(writer, item, _target(call, item)))
            continue
        cells = _accepted(writer, item, None).cells
        matches = _matches(call.table, merge_on, cells)
        if len(matches) > 1:
            raise invalid("Cannot update more than one record with the same merge fields")
        writes.append(_accepted(writer, item, matches[0] if matches else None))
    edits = Edits(call)
    records = [_apply(edits, writer, write) for write in writes]
    publish(edits)
    created = [r.id for r, w in zip(records, writes, strict=True) if w.target is None]
    updated = [r.id for r, w in zip(records, writes, strict=True) if w.target is not None]
    answer: dict[str, JSON] = {
        "records": list(_shown(call, records)),
        "createdRecords": list(created),
        "updatedRecords": list(updated),
    }
    return _with_details(call, writer, answer)


def _merge_fields(call: Call) -> list[FieldState]:
    asked = call.asked["performUpsert"]
    names = asked.get("fieldsToMergeOn") if isinstance(asked, dict) else None
    if not isinstance(names, list) or not 1 <= len(names) <= 3:
        raise invalid()
    found: list[FieldState] = []
    for name in names:
        known = call.table.find_field(name) if isinstance(name, str) else None
        if known is None:
            raise unknown_field(str(name))
        if known.type not in _MERGEABLE:
            raise invalid(f'Cannot merge on field "{known.name}"')
        found.append(known)
    return found


def _matches(
    table: TableState, merge_on: Iterable[FieldState], cells: Cells
) -> list[RecordState]:
    """The records that agree in every merge field; an empty value agrees with none.

    Raises Refusal if the written cells lack a merge field.
    """
    if any(known.id not in cells for known in merge_on):
        raise invalid("Every record needs a value for each of fieldsToMergeOn")
    wanted = [(known.id, cells[known.id]) for known in merge_on]
    if any(value is None for _, value in wanted):
        return []
    return [
        record
        for record in table.records.values()
        if all(record.cells.get(field_id) == value for field_id, value in wanted)
    ]
