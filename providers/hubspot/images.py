"""What HubSpot's answers about records say of them.

An answer holds the properties that were set, the defaults and a few computed ones,
never all: so its images MERGE, and every record is also marked to be read again in
full. Ids come from the answer, because a path may name a record by its email or by the
id it had before a merge; only the empty answers (204) leave nothing but the request.
Of a partly failed batch (207) the `results` count and the `errors` do not.

Nothing here raises anything but `Unreadable`, whatever the bodies hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from providers.body import storable_text
from providers.hubspot.fields import moment, reader
from providers.hubspot.objects import find_objects, pairs_of
from providers.hubspot.shapes import (
    answer,
    asked,
    id_of,
    id_property,
    object_of,
    objects_of,
    partly_failed,
)
from providers.record import (
    JSON,
    Change,
    Collection,
    ColumnType,
    Dirty,
    Image,
    ImageKind,
    Schema,
    merged,
)
from providers.spec import Exchange
from providers.values import Misfit

PARTIAL = "the answer holds only some properties"
ARCHIVED = "it was archived, by an answer that tells nothing of it"


# --- images -----------------------------------------------------------------------------


Reader = tuple[str, Callable[[JSON], JSON], bool]


def _readers(collection: Collection) -> Mapping[str, Reader]:
    """Property name -> field id, what makes of a value what the column takes, whether a
    string is that already: looked up for every value of every page of a backfill."""
    return {
        name: (f.id, reader(f.column_type), f.column_type is ColumnType.TEXT)
        for name, f in collection.by_name.items()
    }


def record_image(
    collection: Collection, record: dict[str, JSON], kind: ImageKind = ImageKind.MERGE
) -> Image | None:
    """One record of an answer; None if it has no id."""
    key = id_of(record.get("id"))
    if not key:
        return None
    values: dict[str, JSON] = {"$id": key}
    extra: dict[str, JSON] = {}
    created_at, updated_at = moment(record.get("createdAt")), moment(record.get("updatedAt"))
    if created_at is not None:
        values["$created_at"] = created_at
    if updated_at is not None:
        values["$updated_at"] = updated_at
    archived = record.get("archived")
    if isinstance(archived, bool):
        values["$archived"] = archived
    _take_properties(collection, object_of(record.get("properties")), values, extra)
    return Image(
        collection=collection.id,
        key=(key,),
        kind=kind,
        values=values,
        extra=extra,
        updated_at=updated_at,
        data=record,
    )


def _take_properties(
    collection: Collection,
    properties: dict[str, JSON],
    values: dict[str, JSON],
    extra: dict[str, JSON],
) -> None:
    """Adds what the columns take to `values`, and the rest unchanged to `extra`.

    "" is how HubSpot spells a cleared value.
    """
    readers = collection.once(_readers)
    for name, value in properties.items():
        known = readers.get(name)
        if known is None:
            extra[name] = value
            continue
        field_id, read, as_is = known
        if value is None or value == "":
            values[field_id] = None
            continue
        if as_is and isinstance(value, str):
            values[field_id] = value
            continue
        try:
            values[field_id] = read(value)
        except Misfit:
            values[field_id], extra[name] = None, value


def gone_image(
    collection: Collection, key: str, kind: ImageKind, id_property: str = ""
) -> Image | None:
    """ARCHIVE or DELETE of a record named by id or by a unique property.

    None if nothing names it, or the property is one we have no column for.
    """
    if not key:
        return None
    key = storable_text(key)  # a path may hold what no text of Postgres does
    if id_property in ("", "hs_object_id"):
        return Image(collection.id, (key,), kind)
    if id_property not in collection.by_name:
        return None
    # HubSpot keeps emails in lower case, whatever case they are asked for in.
    value = key.lower() if id_property == "email" else key
    return Image(collection.id, (), kind, match=(id_property, value))


def _record_change(collection: Collection, record: dict[str, JSON]) -> Change:
    image = record_image(collection, record)
    if image is None:
        return Change(dirty=(Dirty(collection.id, None, "an answer named no record"),))
    return Change(
        images=(image,),
        dirty=(Dirty(collection.id, image.key, PARTIAL),),
        schema_changed=any(name not in collection.by_name for name in image.extra),
    )


def _gone_change(collection: Collection, image: Image | None) -> Change:
    if image is None:
        return Change(dirty=(Dirty(collection.id, None, "a record that we cannot name left"),))
    if image.kind is ImageKind.ARCHIVE and image.key:
        # Its row stays, and no feed will tell of it: neither the version that it has now, nor
        # what others did to it just before.
        return Change(images=(image,), dirty=(Dirty(collection.id, image.key, ARCHIVED),))
    return Change(images=(image,))


# --- readers, one per kind of route -----------------------------------------------------


def record(exchange: Exchange, schema: Schema) -> Change:
    """H1, H2: the record in the answer."""
    collection = find_objects(schema, exchange.variables["type"])
    if collection is None:
        return Change(unmapped=1)
    body = answer(exchange)
    change = _record_change(collection, body)
    named = exchange.variables.get("id")
    if named is None or id_property(exchange.request) or named == id_of(body.get("id")):
        return change
    # The path's id was merged away: its row, if we still have one, is to be looked at.
    old = Dirty(collection.id, (storable_text(named),), "merged away")
    return merged((change, Change(dirty=(old,))))


def records(exchange: Exchange, schema: Schema) -> Change:
    """H4, H5, H6: every record of `results`."""
    body = answer(exchange)
    collection = find_objects(schema, exchange.variables["type"])
    found = tuple(objects_of(body.get("results")))
    if collection is None:
        return Change(unmapped=len(found))
    return merged(_record_change(collection, each) for each in found)


def archived(exchange: Exchange, schema: Schema) -> Change:
    """H3: the answer is empty, the path names the record."""
    collection = find_objects(schema, exchange.variables["type"])
    if collection is None:
        return Change(unmapped=1)
    image = gone_image(
        collection,
        exchange.variables["id"],
        ImageKind.ARCHIVE,
        id_property(exchange.request),
    )
    return _gone_change(collection, image)


def batch_archived(exchange: Exchange, schema: Schema) -> Change:
    """H7: the answer is empty, the request's body names the records."""
    collection = find_objects(schema, exchange.variables["type"])
    inputs = tuple(objects_of(asked(exchange.request).get("inputs")))
    if collection is None:
        return Change(unmapped=len(inputs))
    if partly_failed(exchange.response):
        return Change(
            dirty=tuple(
                Dirty(collection.id, (key,), "a batch archive failed in part")
                for each in inputs
                if (key := id_of(each.get("id")))
            )
        )
    return merged(
        _gone_change(
            collection,
            gone_image(
                collection,
                id_of(each.get("id")),
                ImageKind.ARCHIVE,
                id_of(each.get("idProperty")),
            ),
        )
        for each in inputs
    )


def merge(exchange: Exchange, schema: Schema) -> Change:
    """H8: the answer is the merged record, mostly under a new id; both old ids go."""
    collection = find_objects(schema, exchange.variables["type"])
    if collection is None:
        return Change(unmapped=1)
    body, request = answer(exchange), asked(exchange.request)
    new = id_of(body.get("id"))
    old = (id_of(request.get(name)) for name in ("primaryObjectId", "objectIdToMerge"))
    gone = tuple(
        image
        for key in dict.fromkeys(old)
        if key != new and (image := gone_image(collection, key, ImageKind.DELETE))
    )
    return merged(
        (
            Change(images=gone),
            _record_change(collection, body),
            _pairs_dirty(schema, collection, "a merge moved associations"),
        )
    )


def gdpr_deleted(exchange: Exchange, schema: Schema) -> Change:
    """H9: the answer is empty, the request's body names the record."""
    collection = find_objects(schema, exchange.variables["type"])
    if collection is None:
        return Change(unmapped=1)
    request = asked(exchange.request)
    image = gone_image(
        collection,
        id_of(request.get("objectId")),
        ImageKind.DELETE,
        id_of(request.get("idProperty")),
    )
    return merged(
        (
            _gone_change(collection, image),
            _pairs_dirty(schema, collection, "a deletion took associations along"),
        )
    )


def _pairs_dirty(schema: Schema, collection: Collection, reason: str) -> Change:
    return Change(dirty=tuple(Dirty(p.id, None, reason) for p in pairs_of(schema, collection)))
