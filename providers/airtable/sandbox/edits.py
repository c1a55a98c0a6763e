"""Changes of records and schema, with inverse links kept and a log for the webhooks.

One `Edits` is one transaction of a base. A link field has an inverse in the table that
it leads to; writing one side writes the other, and a deleted record leaves no link.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from providers.airtable.sandbox.call import Call
from providers.airtable.sandbox.state import FieldState, RecordState, TableState
from providers.record import JSON

Cells = dict[str, JSON]


@dataclass(slots=True)
class TableLog:
    """What happened to one table: previous cells of changed records, schema changes."""

    created: dict[str, None] = field(default_factory=dict)
    changed: dict[str, Cells] = field(default_factory=dict)
    destroyed: list[str] = field(default_factory=list)
    created_fields: dict[str, JSON] = field(default_factory=dict)
    changed_fields: dict[str, JSON] = field(default_factory=dict)
    changed_metadata: JSON = None


@dataclass(slots=True)
class Edits:
    """One transaction."""

    call: Call
    tables: dict[str, TableLog] = field(default_factory=dict)
    created_tables: list[str] = field(default_factory=list)

    def log(self, table: TableState) -> TableLog:
        return self.tables.setdefault(table.id, TableLog())

    def create(self, table: TableState, cells: Cells, record_id: str = "") -> RecordState:
        """A new record with these cells."""
        now, user = self.call.now, self.call.token.user
        made = RecordState(
            id=record_id or self.call.world.new_id("rec"),
            created=now,
            modified=now,
            number=table.next_number,
            author=user,
            editor=user,
        )
        table.next_number += 1
        table.records[made.id] = made
        self.log(table).created[made.id] = None
        self.update(table, made, cells)
        return made

    def update(self, table: TableState, record: RecordState, cells: Cells) -> None:
        """Sets cells; None empties one."""
        for field_id, value in cells.items():
            known = table.fields[field_id]
            before = record.cells.get(field_id)
            self._set(table, record, known, value)
            inverse = known.option("inverseLinkFieldId")
            there = self.call.base.tables.get(known.option("linkedTableId"))
            if there is not None and inverse in there.fields:
                self._mirror(there, there.fields[inverse], record.id, (before, value))
        record.modified = self.call.now
        record.editor = self.call.token.user

    def delete(self, table: TableState, record: RecordState) -> None:
        """Removes the record and every link to it."""
        del table.records[record.id]
        self.log(table).destroyed.append(record.id)
        for other, link in self.call.base.links_to(table.id):
            for linking in list(other.records.values()):
                ids = linking.cells.get(link.id)
                if isinstance(ids, list) and record.id in ids:
                    self._relink(other, linking, link, [i for i in ids if i != record.id])

    def _set(
        self, table: TableState, record: RecordState, known: FieldState, value: JSON
    ) -> None:
        before = record.cells.get(known.id)
        if value is None:
            record.cells.pop(known.id, None)
        else:
            record.cells[known.id] = value
        record.touched[known.id] = self.call.now
        log = self.log(table)
        if before != value and record.id not in log.created:
            log.changed.setdefault(record.id, {}).setdefault(known.id, before)

    def _mirror(
        self, there: TableState, inverse: FieldState, record_id: str, change: tuple[JSON, JSON]
    ) -> None:
        """Adds and removes `record_id` in the inverse cells of what a link gained and lost."""
        before, after = (set(ids) if isinstance(ids, list) else set() for ids in change)
        for linked_id in sorted(map(str, before ^ after)):
            linked = there.records.get(linked_id)
            if linked is None:
                continue
            ids = linked.cells.get(inverse.id)
            kept = [i for i in ids if i != record_id] if isinstance(ids, list) else []
            self._relink(
                there, linked, inverse, [*kept, record_id] if linked_id in after else kept
            )

    def _relink(
        self, table: TableState, record: RecordState, link: FieldState, ids: list[JSON]
    ) -> None:
        self._set(table, record, link, ids or None)
        if self.call.switches.inverse_modifies:
            record.modified = self.call.now
