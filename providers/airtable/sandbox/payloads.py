"""What webhooks are told of a transaction, filtered by their specifications.

Cell values in payloads have the second form ("V2"): a select is an object, a link a
list of id and name, a lookup comes apart by record.

A cell with many links is spelled when its payload is answered, as it is then: a record
that thousands link to would otherwise be kept with all of them once for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from providers.airtable.sandbox.edits import Edits, TableLog
from providers.airtable.sandbox.shown import Seat, View
from providers.airtable.sandbox.state import (
    BaseState,
    FieldState,
    RecordState,
    TableState,
    WebhookState,
    iso,
)
from providers.record import JSON

_LINK: Final = "multipleRecordLinks"
_RECORDS: Final = ("createdRecordsById", "changedRecordsById")
_MANY: Final = 20
_LATER: Final = "spelled when it is answered"
_DATA_TYPES: Final = frozenset({"tableData", "tableFields", "tableMetadata"})


def publish(edits: Edits) -> None:
    """Hands a transaction to the base's webhooks, and counts it."""
    if not edits.tables and not edits.created_tables:
        return
    call = edits.call
    base = call.base
    base.transaction += 1
    for webhook in living_webhooks(base, call.now).values():
        changes = _changes(webhook, edits)
        if changes:
            user = {
                "id": call.token.user,
                "email": call.token.email,
                "permissionLevel": "create",
            }
            payload: dict[str, JSON] = {
                "timestamp": iso(call.now),
                "baseTransactionNumber": base.transaction,
                "payloadFormat": "v0",
                "actionMetadata": {"source": "publicApi", "sourceMetadata": {"user": {**user}}},
                **changes,
            }
            webhook.payloads.append({"at": call.now, "payload": payload})


def spelled(base: BaseState, payload: JSON) -> JSON:
    """The payload as it is answered, its many links filled in."""
    told = payload if isinstance(payload, dict) else {}
    tables: dict[str, JSON] = {}
    for table_id, changes in _part(told, "changedTablesById").items():
        table = base.tables.get(table_id)
        tables[table_id] = changes
        if table is not None and isinstance(changes, dict):
            tables[table_id] = {
                name: _with_links(base, table, part) if name in _RECORDS else part
                for name, part in changes.items()
            }
    return {**told, "changedTablesById": tables} if tables else payload


def _with_links(base: BaseState, table: TableState, records: JSON) -> JSON:
    """The entries of created or changed records, by record id."""
    if not isinstance(records, dict):
        return records
    return {i: _linked_entry(base, table, i, entry) for i, entry in records.items()}


def _linked_entry(base: BaseState, table: TableState, record_id: str, entry: JSON) -> JSON:
    if not isinstance(entry, dict):
        return entry
    found = {name: _linked_entry(base, table, record_id, e) for name, e in entry.items()}
    cells = entry.get("cellValuesByFieldId")
    record = table.records.get(record_id)
    if isinstance(cells, dict):
        held = record.cells if record is not None else {}
        found["cellValuesByFieldId"] = {
            i: cell_v2(base, known, held.get(i) or [])
            if cell == _LATER and (known := table.fields.get(i))
            else cell
            for i, cell in cells.items()
        }
    return found


def living_webhooks(base: BaseState, now: float) -> dict[str, WebhookState]:
    """The base's webhooks, those that have expired removed."""
    for webhook in list(base.webhooks.values()):
        if webhook.expires <= now:
            del base.webhooks[webhook.id]
    return base.webhooks


def filters_of(specification: Mapping[str, JSON]) -> dict[str, JSON]:
    """The filters of a webhook's specification; empty if it has none."""
    return _part(_part(specification, "options"), "filters")


def _part(whole: Mapping[str, JSON], name: str) -> dict[str, JSON]:
    found = whole.get(name)
    return found if isinstance(found, dict) else {}


def _names(whole: Mapping[str, JSON], name: str) -> frozenset[str] | None:
    """A list of names, None if there is no such list."""
    found = whole.get(name)
    return frozenset(map(str, found)) if isinstance(found, list) and found else None


def _changes(webhook: WebhookState, edits: Edits) -> dict[str, JSON]:
    """The part of a payload that says what changed; empty if it is not this webhook's."""
    filters = filters_of(webhook.specification)
    sources = _names(filters, "fromSources")
    if sources is not None and "publicApi" not in sources:
        return {}
    kinds = _names(filters, "dataTypes") or _DATA_TYPES
    base, scope = edits.call.base, filters.get("recordChangeScope")
    changed: dict[str, JSON] = {}
    for table_id, log in edits.tables.items():
        table = base.tables[table_id]
        views = {view["id"] for view in table.views}
        if scope is not None and scope != table_id and scope not in views:
            continue
        found = _table_changes(webhook, edits, table, log)
        if found:
            changed[table_id] = found
    result: dict[str, JSON] = {"changedTablesById": changed} if changed else {}
    if edits.created_tables and "tableMetadata" in kinds:
        result["createdTablesById"] = {
            table_id: {"metadata": {"name": base.tables[table_id].name}}
            for table_id in edits.created_tables
        }
    return result


def _table_changes(
    webhook: WebhookState, edits: Edits, table: TableState, log: TableLog
) -> dict[str, JSON]:
    filters = filters_of(webhook.specification)
    kinds = _names(filters, "dataTypes") or _DATA_TYPES
    wanted = _names(filters, "changeTypes") or frozenset({"add", "remove", "update"})
    found: dict[str, JSON] = {}
    if "tableData" in kinds:
        payload = _Payload(webhook, edits, table)
        parts: tuple[tuple[str, str, JSON], ...] = (
            ("add", "createdRecordsById", payload.created(log)),
            ("update", "changedRecordsById", payload.changed(log)),
            ("remove", "destroyedRecordIds", list(log.destroyed)),
        )
        found.update({name: part for kind, name, part in parts if part and kind in wanted})
    if "tableFields" in kinds:
        if log.created_fields and "add" in wanted:
            found["createdFieldsById"] = {**log.created_fields}
        if log.changed_fields and "update" in wanted:
            found["changedFieldsById"] = {**log.changed_fields}
    if "tableMetadata" in kinds and log.changed_metadata and "update" in wanted:
        found["changedMetadata"] = log.changed_metadata
    return found


class _Payload:
    """The record changes of one table as one webhook wants them."""

    def __init__(self, webhook: WebhookState, edits: Edits, table: TableState) -> None:
        options = _part(webhook.specification, "options")
        includes = _part(options, "includes")
        self._watched = _names(_part(options, "filters"), "watchDataInFieldIds")
        self._previous = includes.get("includePreviousCellValues") is True
        always = includes.get("includeCellValuesInFieldIds")
        self._always = frozenset(table.fields if always == "all" else map(str, always or ()))  # type: ignore[arg-type]  # "all" or a list
        self._table = table
        self._view = View(edits.call.world, edits.call.base, edits.call.now)

    def created(self, log: TableLog) -> dict[str, JSON]:
        living = [r for i in log.created if (r := self._table.records.get(i))]
        return {
            record.id: {
                "createdTime": iso(record.created),
                "cellValuesByFieldId": self._cells(record, frozenset(self._table.fields)),
            }
            for record in living
        }

    def changed(self, log: TableLog) -> dict[str, JSON]:
        found: dict[str, JSON] = {}
        for record_id, before in log.changed.items():
            record = self._table.records.get(record_id)
            watched = set(before) & (self._watched or set(before))
            if record is None or not watched:
                continue
            cells = frozenset(before)
            entry: dict[str, JSON] = {"current": self._values(record, cells, empty=True)}
            if self._previous:
                entry["previous"] = {
                    "cellValuesByFieldId": {
                        i: self._shaped(self._table.fields[i], old) for i, old in before.items()
                    }
                }
            if self._always - cells:
                entry["unchanged"] = self._values(record, self._always - cells)
            found[record_id] = entry
        return found

    def _values(
        self, record: RecordState, ids: frozenset[str], *, empty: bool = False
    ) -> dict[str, JSON]:
        cells = self._cells(record, ids)
        if empty:
            cells = {**dict.fromkeys(sorted(ids)), **cells}
        return {"cellValuesByFieldId": cells}

    def _cells(self, record: RecordState, ids: frozenset[str]) -> dict[str, JSON]:
        found: dict[str, JSON] = {}
        for known in self._table.fields.values():
            if known.id in ids:
                shown = self._view.cell(self._table, record, known)
                if known.type == "multipleLookupValues":
                    shown = self._lookup(record, known)
                if known.type == _LINK and isinstance(shown, list) and len(shown) > _MANY:
                    found[known.id] = _LATER
                elif shown is not None:
                    found[known.id] = self._shaped(known, shown)
        return found

    def _shaped(self, known: FieldState, value: JSON) -> JSON:
        return cell_v2(self._view.base, known, value)

    def _lookup(self, record: RecordState, known: FieldState) -> JSON:
        seat = Seat(self._view, self._table, record)
        there, linked = self._view.linked(seat, known.option("recordLinkFieldId"))
        target = there.fields.get(known.option("fieldIdInLinkedTable")) if there else None
        if there is None or target is None:
            return None
        values: dict[str, JSON] = {}
        for other in linked:
            shown = self._view.cell(there, other, target)
            values[other.id] = shown if isinstance(shown, list) else [shown]
        return {
            "linkedRecordIds": [other.id for other in linked],
            "valuesByLinkedRecordId": values,
        }


def cell_v2(base: BaseState, known: FieldState, value: JSON) -> JSON:
    """A cell's value in the form that webhook payloads use."""
    if known.type == "singleSelect":
        return _choice(known, value)
    if known.type == "multipleSelects" and isinstance(value, list):
        return [_choice(known, name) for name in value]
    if known.type == _LINK and isinstance(value, list):
        there = base.tables.get(known.option("linkedTableId"))
        return [_link(there, record_id) for record_id in value]
    return value


def _choice(known: FieldState, name: JSON) -> JSON:
    return next((c for c in known.choices if c.get("name") == name), None)


def _link(there: TableState | None, record_id: JSON) -> JSON:
    record = there.records.get(str(record_id)) if there else None
    name = record.cells.get(there.primary) if there and record else None
    return {"id": record_id, "name": name if name is not None else ""}
