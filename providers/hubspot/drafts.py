"""What a write of records to HubSpot is meant to do, told from the request alone.

This is asked for calls whose answer was lost, and for those that are only tried out. The
values are those that the request sets, as their columns would have them; what HubSpot
will refuse by the properties as they are known is a fault.

A write also changes what shows its records elsewhere: the associations that a create asks
for, those of records that are merged or deleted for good. They are drafts that touch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from providers.body import storable_text
from providers.drafting import (
    Refusable,
    Unsure,
    bounded,
    touch,
    with_faults,
)
from providers.http import Request
from providers.hubspot.accepted import drafted
from providers.hubspot.associations import ends_by_type
from providers.hubspot.batches import asked_inputs, asked_object
from providers.hubspot.objects import find_objects, pairs_of
from providers.hubspot.shapes import id_of, id_property, object_of, objects_of
from providers.record import JSON, Collection, Schema
from providers.spec import Draft, DraftKind
from providers.wording import Names, quoted

Variables = Mapping[str, str]
Drafts = tuple[Draft, ...]
Given = Mapping[str, JSON]

_RECORD: Final = '{"properties": {…}}'
_TO_UPDATE: Final = '{"id": …, "properties": {…}}'
_TO_UPSERT: Final = '{"idProperty": …, "id": …, "properties": {…}}'
_TO_MERGE: Final = '{"primaryObjectId": …, "objectIdToMerge": …}'


# --- one record -------------------------------------------------------------------------


def created(request: Request, variables: Variables, schema: Schema) -> Drafts:
    """POST of a record, with associations."""
    given, faults = asked_object(request, _RECORD)
    collection = find_objects(schema, variables["type"])
    if collection is None:
        return ()
    told = Draft(collection.id, DraftKind.CREATE, faults=faults)
    if not faults:
        told = _with_associations(_record(told, collection, given, Names("property")), given)
    return (told, *_associated(schema, collection, [given]))


def updated(request: Request, variables: Variables, schema: Schema) -> Drafts:
    """PATCH of the record that the path names, by its id or a unique property."""
    given, faults = asked_object(request, _RECORD)
    collection = find_objects(schema, variables["type"])
    if collection is None:
        return ()
    names = Names("property")
    by = id_property(request)
    told = _named(DraftKind.UPDATE, collection, variables["id"], by, names)
    told = replace(told, faults=(*told.faults, *faults))
    return (told if faults else _record(told, collection, given, names),)


def archived(request: Request, variables: Variables, schema: Schema) -> Drafts:
    """DELETE of the record that the path names."""
    collection = find_objects(schema, variables["type"])
    if collection is None:
        return ()
    by, names = id_property(request), Names("property")
    return (_named(DraftKind.DELETE, collection, variables["id"], by, names),)


def gdpr_deleted(request: Request, variables: Variables, schema: Schema) -> Drafts:
    """POST …/gdpr-delete: the body names the record."""
    given, faults = asked_object(request, '{"objectId": …}')
    collection = find_objects(schema, variables["type"])
    if collection is None:
        return ()
    by, names = id_of(given.get("idProperty")), Names("property")
    told = Draft(collection.id, DraftKind.DELETE, faults=faults)
    if not faults:
        told = _named(DraftKind.DELETE, collection, given.get("objectId"), by, names)
        if _is_missing(given.get("objectId")):
            told = replace(told, kind=DraftKind.DELETE, faults=(_missing("objectId"),))
    return (told, *_pairs(schema, collection))


def merged(request: Request, variables: Variables, schema: Schema) -> Drafts:
    """POST …/merge: both records go, and which comes is only told by the answer."""
    given, faults = asked_object(request, _TO_MERGE)
    collection = find_objects(schema, variables["type"])
    if collection is None:
        return ()
    names = ("primaryObjectId", "objectIdToMerge")
    if not faults:
        faults = tuple(_missing(name) for name in names if _is_missing(given.get(name)))
    one, other = (storable_text(id_of(given.get(name))) for name in names)
    if one and one == other:
        faults = ("A record cannot be merged with itself: name two.",)
    keys = dict.fromkeys(key for key in (one, other) if key)
    both = [Draft(collection.id, DraftKind.TOUCH, (key,)) for key in keys]
    whole = Draft(collection.id, DraftKind.TOUCH)
    return (*with_faults(both, faults, whole), *_pairs(schema, collection))


# --- batches ----------------------------------------------------------------------------


def batch_created(request: Request, variables: Variables, schema: Schema) -> Drafts:
    """POST …/batch/create."""
    inputs, faults = asked_inputs(request, _RECORD)
    collection = find_objects(schema, variables["type"])
    if collection is None:
        return ()
    names, empty = Names("property"), Draft(collection.id, DraftKind.CREATE)
    told = [_with_associations(_record(empty, collection, e, names), e) for e in inputs]
    return (*with_faults(told, faults, empty), *_associated(schema, collection, inputs))


def batch_updated(request: Request, variables: Variables, schema: Schema) -> Drafts:
    """POST …/batch/update: by id or a unique property, in each input."""
    inputs, faults = asked_inputs(request, _TO_UPDATE)
    collection = find_objects(schema, variables["type"])
    if collection is None:
        return ()
    names = Names("property")
    told = [
        _record(_input(DraftKind.UPDATE, collection, each, names), collection, each, names)
        for each in inputs
    ]
    return with_faults(told, faults, Draft(collection.id, DraftKind.UPDATE))


def batch_upserted(request: Request, variables: Variables, schema: Schema) -> Drafts:
    """POST …/batch/upsert: what is not there by its unique property is made with it."""
    inputs, faults = asked_inputs(request, _TO_UPSERT)
    collection = find_objects(schema, variables["type"])
    if collection is None:
        return ()
    names = Names("property")
    told = [_upserted(collection, each, names) for each in inputs]
    return with_faults(told, faults, Draft(collection.id, DraftKind.UPSERT))


def _upserted(collection: Collection, given: Given, names: Names) -> Draft:
    named = _input(DraftKind.UPSERT, collection, given, names)
    if _is_missing(given.get("idProperty")):
        named = replace(named, faults=(*named.faults, _missing("idProperty")))
    told = _record(named, collection, given, names)
    if told.match is None:
        return told
    return replace(told, values={told.match[0]: told.match[1], **told.values})


def batch_archived(request: Request, variables: Variables, schema: Schema) -> Drafts:
    """POST …/batch/archive: the ids are in the body."""
    inputs, faults = asked_inputs(request, '{"id": …}')
    collection = find_objects(schema, variables["type"])
    if collection is None:
        return ()
    told = [_input(DraftKind.DELETE, collection, each, None) for each in inputs]
    return with_faults(told, faults, Draft(collection.id, DraftKind.DELETE))


# --- what names a record ----------------------------------------------------------------


def _missing(name: str) -> str:
    return f"`{name}` is missing: it is needed to name the record."


def _is_missing(value: JSON) -> bool:
    return value is None or value == ""


def _input(kind: DraftKind, collection: Collection, given: Given, names: Names | None) -> Draft:
    """The draft of an input, without its values."""
    by = id_of(given.get("idProperty"))
    told = _named(kind, collection, given.get("id"), by, names)
    if not _is_missing(given.get("id")):
        return told
    return replace(told, kind=kind, faults=(_missing("id"),))


def _named(
    kind: DraftKind, collection: Collection, spelled: JSON, by: str, names: Names | None
) -> Draft:
    """The draft of a record that is named by its id, or by a unique property.

    A property that is not known is a fault if `names` can say which there are. What names
    no record that we know how to find touches all of them.
    """
    text = storable_text(id_of(spelled))
    if by in ("", "hs_object_id"):
        return Draft(collection.id, kind, (text,)) if text else _unnamed(collection)
    if by not in collection.by_name:
        where = f"`idProperty`: {collection.name}"
        fault = names.unknown(by, collection.by_name, where) if names else ""
        return Draft(collection.id, kind, faults=(fault,)) if fault else _unnamed(collection)
    # HubSpot keeps emails in lower case, whatever case they are asked for in.
    value = text.lower() if by == "email" else text
    return Draft(collection.id, kind, match=(by, value)) if value else _unnamed(collection)


def _unnamed(collection: Collection) -> Draft:
    return Draft(collection.id, DraftKind.TOUCH)


def _record(named: Draft, collection: Collection, given: Given, names: Names) -> Draft:
    """The draft with the values that an input sets, and their faults."""
    properties = given.get("properties")
    values: dict[str, JSON] = {}
    faults = [*named.faults]
    if not isinstance(properties, dict):
        faults.append("A record needs `properties`, an object of property names and values.")
        properties = {}
    for name, value in properties.items():
        field = collection.by_name.get(name)
        if field is None:
            if name.lower() not in collection.by_name:  # whether case counts is not said
                faults.append(names.unknown(name, collection.by_name, collection.name))
            continue
        try:
            values[field.id] = drafted(field, value)
        except Refusable as fault:
            faults.append(str(fault))
        except Unsure:
            pass
    return replace(named, values=values, faults=bounded(faults))


# --- what else a write changes ----------------------------------------------------------


def _pairs(schema: Schema, collection: Collection) -> Drafts:
    return touch(pair.id for pair in pairs_of(schema, collection))


def _with_associations(told: Draft, given: Given) -> Draft:
    """The draft with what is wrong with the associations that a create asks for."""
    asked = given.get("associations")
    whole = all(
        isinstance(each, dict)
        and not _is_missing(object_of(each.get("to")).get("id"))
        and isinstance(each.get("types"), list)
        and each["types"]
        for each in (asked if isinstance(asked, list) else [])
    )
    if whole:
        return told
    fault = (
        f"An association needs {quoted('to')} with an `id`, and a list of {quoted('types')}."
    )
    return replace(told, faults=(*told.faults, fault))


def _associated(schema: Schema, origin: Collection, inputs: Sequence[Given]) -> Drafts:
    """The pairs of records that have no id yet, and the records at the other end."""
    ends = [*_other_ends(schema, origin, inputs)]
    records = dict.fromkeys((target, key) for _, target, key in ends if key)
    return (
        *touch(pair for pair, _, _ in ends),
        *(Draft(target, DraftKind.TOUCH, (key,)) for target, key in records),
    )


def _other_ends(
    schema: Schema, origin: Collection, inputs: Sequence[Given]
) -> Iterator[tuple[str, str, str]]:
    """Pair, collection and id of each association that is asked for."""
    for given in inputs:
        for each in objects_of(given.get("associations")):
            ends = ends_by_type(schema, origin, each)
            if ends is not None:
                key = storable_text(id_of(object_of(each.get("to")).get("id")))
                yield ends.pair.id, ends.target.id, key
