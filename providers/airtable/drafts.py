"""What a write to Airtable is meant to do, told from the request alone.

This is asked for calls whose answer was lost, and for those that are only tried out. A
record is told with the values that Airtable takes as they are; what it will refuse by the
schema as it is known is a fault. Values of which it makes something else (typecast, a date
without an offset) are left out: nobody can say what they will be.

Beside the records of its own table a write changes those that they are linked with, so
linked tables are drafts that touch everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from providers.airtable.accepted import drafted
from providers.airtable.asking import BATCH, Asked, asked_ids, asked_records
from providers.airtable.cells import cells_of
from providers.airtable.fields import LINK
from providers.airtable.images import derives
from providers.body import storable_text
from providers.drafting import (
    Refusable,
    Unsure,
    bounded,
    json_of,
    touch,
    with_faults,
)
from providers.http import Request
from providers.record import JSON, Collection, Field, Schema
from providers.spec import Draft, DraftKind
from providers.wording import Names, quoted

Variables = Mapping[str, str]
Drafts = tuple[Draft, ...]

_MOST_MERGED: Final = 3
# Documented are numbers, texts, selects and dates; these are certainly none of them.
_NOT_MERGED: Final = frozenset(
    {
        LINK,
        "multipleAttachments",
        "singleCollaborator",
        "multipleCollaborators",
        "checkbox",
        "barcode",
    }
)


# --- records ----------------------------------------------------------------------------


@dataclass(slots=True)
class _Writing:
    """One request to one table. `blank` is what a record begins with: PUT empties it."""

    collection: Collection
    asked: Asked
    names: Names
    blank: Mapping[str, JSON]

    def record(
        self, item: Mapping[str, JSON], kind: DraftKind, key: tuple[str, ...] | None
    ) -> Draft:
        """The draft of one record."""
        given = item.get("fields")
        faults: list[str] = []
        values = dict(self.blank)
        if not isinstance(given, dict):
            faults.append("A record needs `fields`, an object of field names and values.")
            given = {}
        seen: set[str] = set()
        for name, value in given.items():
            field = find_field(self.collection, name)
            if field is None:
                names = self.collection.by_name
                faults.append(self.names.unknown(name, names, quoted(self.collection.name)))
                continue
            self._take(field, value, values, faults)
            if field.id in seen:  # by its id and by its name: which counts is not said
                values.pop(field.id, None)
            seen.add(field.id)
        return Draft(self.collection.id, kind, key, values=values, faults=bounded(faults))

    def _take(
        self, field: Field, value: JSON, values: dict[str, JSON], faults: list[str]
    ) -> None:
        values.pop(field.id, None)
        try:
            values[field.id] = drafted(field, value, typecast=self.asked.typecast)
        except Refusable as fault:
            faults.append(str(fault))
        except Unsure:
            pass


def _writing(request: Request, variables: Variables, schema: Schema) -> _Writing | None:
    """What the request writes; None if the sync has no such table. Raises Unreadable."""
    asked = asked_records(request)
    collection = schema.find(variables["table"])
    if collection is None:
        return None
    blank: dict[str, JSON] = {}
    if request.method == "PUT":
        cells = (f for f in collection.fields if f.id[0] != "$" and f.writable)
        blank = {field.id: field.empty for field in cells}
    return _Writing(collection, asked, Names("field"), blank)


def create_records(request: Request, variables: Variables, schema: Schema) -> Drafts:
    """POST of one record or several."""
    writing = _writing(request, variables, schema)
    if writing is None:
        return ()
    drafts = [writing.record(each, DraftKind.CREATE, None) for each in writing.asked.records]
    otherwise = Draft(writing.collection.id, DraftKind.CREATE)
    told = with_faults(drafts, writing.asked.faults, otherwise)
    return told + _linked(writing, schema, told)


def update_record(request: Request, variables: Variables, schema: Schema) -> Drafts:
    """PATCH or PUT of the record that the path names."""
    writing = _writing(request, variables, schema)
    if writing is None:
        return ()
    key = (storable_text(variables["record"]),)
    drafts = [writing.record(e, DraftKind.UPDATE, key) for e in writing.asked.records[:1]]
    otherwise = Draft(writing.collection.id, DraftKind.UPDATE, key)
    told = with_faults(drafts, writing.asked.faults, otherwise)
    return told + _linked(writing, schema, told)


def update_records(request: Request, variables: Variables, schema: Schema) -> Drafts:
    """PATCH or PUT of several records, by their ids or merged by fields."""
    writing = _writing(request, variables, schema)
    if writing is None:
        return ()
    merge_on, faults = _merged_by(writing) if writing.asked.upsert else ((), [])
    drafts = [_targeted(writing, each, merge_on) for each in writing.asked.records]
    kind = DraftKind.UPSERT if writing.asked.upsert else DraftKind.UPDATE
    otherwise = Draft(writing.collection.id, kind)
    told = with_faults(drafts, (*writing.asked.faults, *faults), otherwise)
    return told + _linked(writing, schema, told)


def _targeted(writing: _Writing, item: Mapping[str, JSON], merge_on: Sequence[Field]) -> Draft:
    """A record of the table's path: by its id, or by the one field that it is merged by."""
    record_id = item.get("id")
    if isinstance(record_id, str) and record_id:
        return writing.record(item, DraftKind.UPDATE, (record_id,))
    if not writing.asked.upsert or "id" in item:
        told = writing.record(item, DraftKind.UPDATE, None)
        fault = 'A record to be updated needs its `id`, such as "rec0123456789abcd".'
        return with_faults((told,), (fault,), told)[0]
    told = writing.record(item, DraftKind.UPSERT, None)
    if len(merge_on) != 1:
        return told
    value = told.values.get(merge_on[0].id)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return told  # nothing is merged with an empty cell
    match = (merge_on[0].id, str(value))
    return Draft(told.collection, told.kind, None, match, told.values, told.faults)


def _merged_by(writing: _Writing) -> tuple[list[Field], list[str]]:
    """The fields that records are merged by, and what is wrong with them."""
    names = writing.asked.merge_on
    if not isinstance(names, list) or not 1 <= len(names) <= _MOST_MERGED:
        most = f"a list of 1 to {_MOST_MERGED} fields"
        return [], [f"`performUpsert` needs `fieldsToMergeOn`, {most}."]
    found: list[Field] = []
    faults: list[str] = []
    for name in names:
        field = find_field(writing.collection, name) if isinstance(name, str) else None
        if field is None:
            there = writing.collection.by_name
            where = quoted(writing.collection.name)
            faults.append(writing.names.unknown(str(name)[:100], there, where))
        elif not field.writable or field.type.partition(":")[0] in _NOT_MERGED:
            faults.append(
                f"Records cannot be merged by {quoted(field.name)}: take a field of text,"
                " numbers, options or dates."
            )
        else:
            found.append(field)
    return found, faults


def find_field(collection: Collection, spelling: str) -> Field | None:
    """The field with this id or name; an id wins."""
    if spelling.startswith("$"):
        return collection.by_name.get(spelling)
    return collection.by_id.get(spelling) or collection.by_name.get(spelling)


def _linked(writing: _Writing, schema: Schema, drafts: Drafts) -> Drafts:
    """The linked tables in which the write may change rows, see `images.commit_records`."""
    collection = writing.collection
    given = (each.get("fields") for each in writing.asked.records)
    written = {name for fields in given if isinstance(fields, dict) for name in fields}
    makes_only = all(draft.kind is DraftKind.CREATE for draft in drafts)
    found: list[str] = []
    for field, linked in cells_of(collection).links:
        there = schema.find(linked)
        if there is None:
            continue
        touched = bool(writing.blank) or field.id in written or field.name in written
        if touched or (derives(there) and not makes_only):
            found.append(there.id)
    return touch(found)


# --- what is not a write of values ------------------------------------------------------


def delete_record(_request: Request, variables: Variables, schema: Schema) -> Drafts:
    """DELETE of the record that the path names."""
    collection = schema.find(variables["table"])
    if collection is None:
        return ()
    return _deleted(collection, schema, [storable_text(variables["record"])])


def delete_records(request: Request, variables: Variables, schema: Schema) -> Drafts:
    """DELETE of those that the query names."""
    ids = asked_ids(request)
    collection = schema.find(variables["table"])
    if collection is None:
        return ()
    faults = []
    if not ids and not request.body:
        faults.append("No record is named: add `?records[]=rec…` for each of them.")
    if len(ids) > BATCH:
        faults.append(
            f"{len(ids)} records are named; Airtable deletes {BATCH} in a call."
            " Send them in several."
        )
    otherwise = Draft(collection.id, DraftKind.DELETE if faults else DraftKind.TOUCH)
    return with_faults(_deleted(collection, schema, ids) or (otherwise,), faults, otherwise)


def _deleted(collection: Collection, schema: Schema, ids: Sequence[str]) -> Drafts:
    if not ids:
        return ()
    gone = tuple(Draft(collection.id, DraftKind.DELETE, (i,)) for i in ids)
    linked = (there for _, there in cells_of(collection).links if schema.find(there))
    return gone + touch(linked)


def upload(request: Request, variables: Variables, schema: Schema) -> Drafts:
    """An attachment for a cell; the path names no table, only the field may tell it."""
    body = json_of(request)
    spelling = variables["field"]
    owner = schema.owner_of(spelling)
    tables = [owner] if owner else [c for c in schema.collections if spelling in c.by_name]
    if len(tables) != 1:
        return touch(table.id for table in tables)
    key = (storable_text(variables["record"]),)
    given = body if isinstance(body, dict) else {}
    faults = [
        f"`{name}` is missing: an upload needs it, as text."
        for name in ("contentType", "filename", "file")
        if not isinstance(given.get(name), str)
    ]
    field = find_field(tables[0], spelling)
    if field is not None and field.type != "multipleAttachments":
        faults.append(f"{quoted(field.name)} takes no attachments: name a field that does.")
    return (Draft(tables[0].id, DraftKind.TOUCH, key, faults=tuple(faults)),)


def touch_table(_request: Request, variables: Variables, schema: Schema) -> Drafts:
    """Any row of the table may change."""
    collection = schema.find(variables["table"])
    return () if collection is None else touch((collection.id,))


def nothing(_request: Request, _variables: Variables, _schema: Schema) -> Drafts:
    """No record changes."""
    return ()
