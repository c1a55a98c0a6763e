"""What an answer of Airtable's means for the database.

Each reader is told one exchange and the schema, and says which records are now how.
A write's answer is the complete record, after typecast and computed fields, with
every empty cell left out; so its image replaces the row, and a field that is missing
is empty. Only an attachment upload answers with less: one field, keyed by its id,
and no word of the table.

What the answer does not show is marked dirty: the rows of linked tables, which a
write changes through inverse links and lookups, and cells that Airtable has not
finished yet.

Nothing is taken from the request but hints: whether fields come keyed by id or by
name, and which links it touched. Ids and values come from the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from providers.airtable.cells import cells_of
from providers.airtable.fields import DERIVED_TYPES
from providers.airtable.records import as_object, id_of, record_images, records_in
from providers.body import read_json
from providers.record import (
    JSON,
    NO_CHANGE,
    Change,
    Collection,
    Dirty,
    Image,
    ImageKind,
    Schema,
)
from providers.spec import Exchange, Unreadable

_TRUE: Final = (True, 1, "1", "true")


def commit_records(exchange: Exchange, schema: Schema) -> Change:
    """Create, update, replace, upsert; one record or a batch."""
    records = _records(read_json(exchange.response))
    collection = schema.find(exchange.variables["table"])
    if collection is None:
        return _uncovered(exchange, len(records))
    read = record_images(collection, records, by_id=lambda: _asked_by_id(exchange))
    images = tuple([r.image for r in read])
    dirty = [
        Dirty(collection.id, r.image.key, "Airtable is still working on a cell")
        for r in read
        if not r.settled
    ]
    linked = _linked_by_write(collection, schema, images, exchange)
    if linked:
        dirty += _marks(linked, f"linked with records written in {collection.name}")
    return Change(images, tuple(dirty), schema_changed=any(r.unknown for r in read))


def commit_deletes(exchange: Exchange, schema: Schema) -> Change:
    """Delete one or several: the ids are those that the answer confirms."""
    gone = [r for r in _records(read_json(exchange.response)) if r.get("deleted") is True]
    ids = [id_of(record) for record in gone]
    collection = schema.find(exchange.variables["table"])
    if collection is None:
        return _uncovered(exchange, len(ids))
    if not ids:
        return NO_CHANGE
    linked = [there for _, there in cells_of(collection).links if schema.find(there)]
    return Change(
        images=tuple(Image(collection.id, (i,), ImageKind.DELETE) for i in ids),
        dirty=_marks(linked, f"linked with records deleted in {collection.name}"),
    )


def commit_upload(exchange: Exchange, schema: Schema) -> Change:
    """An uploaded attachment: one field of one record, and the table to be found.

    The field's id tells the table. The record is read again in any case: the answer
    hides what the upload did to its formulas and its last-modified time.
    """
    record = as_object(read_json(exchange.response))
    cells = as_object(record.get("fields"))
    key = (id_of(record),)
    for field_id in (*cells, exchange.variables["field"]):
        collection = schema.owner_of(field_id)
        if collection is not None:
            break
    else:
        return Change(unmapped=1, schema_changed=True)
    (read,) = record_images(collection, (record,), by_id=lambda: True)
    known = cells_of(collection)
    named = {
        cell.id for name in cells if (cell := known.by_id.get(name) or known.by_name.get(name))
    }
    shown = {f: v for f, v in read.image.values.items() if f in named or f[0] == "$"}
    image = replace(read.image, kind=ImageKind.MERGE, values=shown)
    again = Dirty(collection.id, key, "an upload's answer shows one field only")
    return Change(images=(image,), dirty=(again,), schema_changed=read.unknown)


def dirty_table(exchange: Exchange, schema: Schema) -> Change:
    """The table's rows changed, and the answer does not say how."""
    collection = schema.find(exchange.variables["table"])
    if collection is None:
        return _uncovered(exchange, 0)
    return Change(dirty=(Dirty(collection.id, None, "rows changed out of sight"),))


def nothing(_exchange: Exchange, _schema: Schema) -> Change:
    """No record changed: webhooks, comments, other bases."""
    return NO_CHANGE


def changed_schema(_exchange: Exchange, _schema: Schema) -> Change:
    """Tables or fields were made or renamed: discover them again."""
    return Change(schema_changed=True)


def changed_field(exchange: Exchange, schema: Schema) -> Change:
    """A field was made or altered: discover again, and read the values it has now."""
    return replace(dirty_table(exchange, schema), schema_changed=True)


# Records ---------------------------------------------------------------------------


def _uncovered(exchange: Exchange, records: int) -> Change:
    """Records of a table that we do not know: by a name, it may be one that was renamed."""
    named = not exchange.variables["table"].startswith("tbl")
    return Change(unmapped=records, schema_changed=named)


def _records(answer: JSON) -> list[dict[str, JSON]]:
    """The records of an answer that is one record or a batch. Raises Unreadable."""
    return records_in(answer) if "records" in as_object(answer) else [as_object(answer)]


# The request's hints ---------------------------------------------------------------


def _asked(exchange: Exchange) -> Mapping[str, JSON]:
    """The request's own JSON; empty if there is none or it cannot be read."""
    try:
        asked = read_json(exchange.request)
    except Unreadable:
        return {}
    return asked if isinstance(asked, dict) else {}


def _asked_by_id(exchange: Exchange) -> bool:
    flag: JSON = _asked(exchange).get("returnFieldsByFieldId")
    if flag is None:
        flag = dict(exchange.request.query).get("returnFieldsByFieldId")
    return flag in _TRUE


def _touched(exchange: Exchange) -> frozenset[str] | None:
    """The field names and ids that the request wrote; None for all, or if unsure."""
    asked = _asked(exchange)
    if exchange.request.method == "PUT" or not asked:
        return None
    records = asked.get("records")
    written = records if isinstance(records, list) else [asked]
    found: set[str] = set()
    for record in written:
        fields = record.get("fields") if isinstance(record, dict) else None
        found.update(fields if isinstance(fields, dict) else ())
    return frozenset(found)


def _linked_by_write(
    collection: Collection,
    schema: Schema,
    images: tuple[Image, ...],
    exchange: Exchange,
) -> list[str]:
    """The covered tables in which a write to `collection` may have changed rows.

    Setting or clearing a link changes its inverse over there; any other value matters
    to the linked rows only if their table derives something from other records.
    """
    links = [
        (field, there)
        for field, linked in cells_of(collection).links
        if (there := schema.find(linked)) is not None
    ]
    if not links:
        return []
    touched = _touched(exchange)
    found: list[str] = []
    for field, there in links:
        written = touched is None or field.id in touched or field.name in touched
        if written or (derives(there) and any(i.values.get(field.id) for i in images)):
            found.append(there.id)
    return found


def derives(collection: Collection) -> bool:
    """Whether records of the table show something of those that they are linked with."""
    return any(field.type in DERIVED_TYPES for field in collection.fields)


def _marks(collections: Iterable[str], reason: str) -> tuple[Dirty, ...]:
    return tuple(Dirty(name, None, reason) for name in dict.fromkeys(collections))
