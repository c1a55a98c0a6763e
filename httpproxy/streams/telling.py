"""From what the store has to what readers are told. Pure.

    told_event     an event, with the names that its collection's fields have now
    told_record    a record, with its row

A collection or a field that is not there any more is told in the words that are left of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from httpproxy.management.naming import public_id_of
from httpproxy.store.layouts.tables import EXTRA, Table
from httpproxy.store.streams.places import Event, RecordPlace, Unread
from httpproxy.store.streams.shapes import Shape
from httpproxy.streams.documents import EventDocument, RecordDocument
from providers.catalog import PROVIDERS
from providers.plain import as_json, flat, public_names
from providers.record import EMPTY, JSON, Collection, Field


def told_event(event: Event, shape: Shape) -> EventDocument:
    """The document of an event of a sync of this shape."""
    collection = collection_of(event.collection_id, shape)
    gone = shape.gone.get(event.collection_id, {})
    plain = PROVIDERS[shape.provider].plain(collection, event.data)
    data: dict[str, JSON] = {"id": event.upstream_id, **plain}
    for field_id in gone.keys() & plain.keys():
        data[_name_of_gone(gone[field_id], public_names(collection))] = data.pop(field_id)
    return EventDocument.model_construct(
        sync_id=event.sync_id,
        collection_id=public_id_of(PROVIDERS[shape.provider], collection),
        upstream_id=event.upstream_id,
        upstream_updated_at=event.upstream_updated_at,
        data=data,
        event=event.event,
        event_id=event.event_id,
        event_inserted_at=event.inserted_at,
        seq=event.place.write(),
        changes=None if event.changes is None else _before(event.changes, collection, gone),
        origin=event.origin,
        request_id=event.request_id,
    )


def told_unread(event: Unread, shape: Shape) -> EventDocument:
    """The same of an event that nobody has read yet."""
    return told_event(event.read(), shape)


def told_record(
    place: RecordPlace, shape: Shape, row: Mapping[str, JSON] | None
) -> RecordDocument:
    """The document of a record with this row; of one that was deleted, None."""
    table = shape.tables.tables.get(place.collection_id)
    collection = collection_of(place.collection_id, shape)
    deleted = place.event == "deleted"
    data: dict[str, JSON] = {"id": place.upstream_id}
    if row is not None and table is not None:
        data = row_data(table, place.upstream_id, row, PROVIDERS[shape.provider].omits_empty)
    return RecordDocument.model_construct(
        sync_id=place.sync_id,
        collection_id=public_id_of(PROVIDERS[shape.provider], collection),
        upstream_id=place.upstream_id,
        upstream_updated_at=place.upstream_updated_at,
        data=data,
        deleted=deleted,
        event=place.event,
        event_inserted_at=place.inserted_at,
        seq=place.place.write(),
        origin=place.origin,
        request_id=place.request_id,
    )


def collection_of(upstream_id: str, shape: Shape) -> Collection:
    """The collection; one that is not known any more has no fields."""
    table = shape.tables.tables.get(upstream_id)
    return Collection(upstream_id, upstream_id, ()) if table is None else table.collection


def key_of(table: Table, upstream_id: str) -> tuple[str, ...]:
    """The key of the row of a record."""
    count = len(table.collection.key)
    return (upstream_id,) if count == 1 else tuple(upstream_id.split(":", count - 1))


def row_data(
    table: Table, upstream_id: str, row: Mapping[str, JSON], omits_empty: bool
) -> dict[str, JSON]:
    """A row in the flat shape."""
    values = {
        column.field.id: row[column.name] for column in table.columns if column.name in row
    }
    extra = row.get(EXTRA)
    beside = extra if isinstance(extra, dict) else EMPTY
    return flat(table.collection, upstream_id, values, beside, omits_empty=omits_empty)


def _before(
    changes: Mapping[str, JSON], collection: Collection, gone: Mapping[str, Field]
) -> dict[str, JSON]:
    """Prior values by the fields' names; what was no column's under the upstream's name."""
    names = public_names(collection)
    found: dict[str, JSON] = {}
    for field_id, value in changes.items():
        field = collection.by_id.get(field_id) or gone.get(field_id)
        if field is not None:
            label = names.get(field_id) or _name_of_gone(field, names)
            found[label] = as_json(field.column_type, value)
        elif field_id != EXTRA:
            found[field_id] = value
    extra = changes.get(EXTRA)
    for name, value in extra.items() if isinstance(extra, dict) else ():
        known = collection.by_name.get(name)
        label = name if known is None else names[known.id]
        if found.get(label) is None:
            found[label] = value
    return found


def _name_of_gone(field: Field, names: Mapping[str, str]) -> str:
    """What a field was called when it was removed, unless another has that name by now."""
    return field.id if field.name in names.values() else field.name
