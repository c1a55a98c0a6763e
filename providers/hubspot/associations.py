"""What HubSpot's answers about associations say of pairs.

The answers are many-shaped: the record with its associations (v3), the pair with its
labels (v4, ids as numbers or strings), the pair in both directions (v4 defaults), or
nothing at all. So pairs come from the request, less those that a partly failed batch
(207) does not list. Labels come from the answer, where it tells them and looks from
the pair's left; a label has another name from each end, and what was there before is
not told. A pair that was written is therefore also marked to be read again, as are
both its records, whose computed properties follow later.

Nothing here raises anything but `Unreadable`, whatever the bodies hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from providers.body import storable_text
from providers.hubspot import images
from providers.hubspot.objects import find_objects, find_pair, is_pair, pairs_of, type_alias
from providers.hubspot.plain import pair_data
from providers.hubspot.shapes import answer, asked, id_of, object_of, objects_of, partly_failed
from providers.record import (
    JSON,
    Change,
    Collection,
    Dirty,
    Image,
    ImageKind,
    Schema,
    merged,
)
from providers.spec import Exchange

WRITTEN = "its labels are told only by reading it"


@dataclass(frozen=True, slots=True)
class Link:
    """Two record ids, in the direction of the request."""

    from_id: str
    to_id: str


@dataclass(frozen=True, slots=True)
class Ends:
    """The collections at both ends in the direction of the request, and their pair."""

    origin: Collection
    target: Collection
    pair: Collection

    @property
    def reversed(self) -> bool:
        return self.pair.fields[0].type != self.origin.id

    def keys(self, link: Link) -> tuple[tuple[str, str], ...]:
        """The rows of a link: one, or both directions within one type."""
        there, back = (link.from_id, link.to_id), (link.to_id, link.from_id)
        if self.origin.id == self.target.id:
            return (there, back)
        return (back,) if self.reversed else (there,)


def ends_of(variables: Mapping[str, str], schema: Schema) -> Ends | None:
    """The ends that a path names; None if the sync does not cover their pair."""
    origin = find_objects(schema, variables["from"])
    target = find_objects(schema, variables["to"])
    if origin is None or target is None:
        return None
    pair = find_pair(schema, origin, target)
    return None if pair is None else Ends(origin, target, pair)


def _added(ends: Ends, link: Link, labels: JSON = None) -> Change:
    seen = (
        [label for label in labels if isinstance(label, str)]
        if isinstance(labels, list)
        else []
    )
    left, right = ends.pair.key
    found = []
    for at, key in enumerate(ends.keys(link)):
        values: dict[str, JSON] = {left: key[0], right: key[1]}
        data = pair_data(key)
        if seen and at == 0 and not ends.reversed:
            values["$labels"] = list(seen)
            data = pair_data(key, list(seen))
        found.append(Image(ends.pair.id, key, ImageKind.MERGE, values, data=data))
    return Change(images=tuple(found), dirty=(*_dirty(ends, link, WRITTEN),))


def _removed(ends: Ends, link: Link) -> Change:
    return Change(
        images=tuple(Image(ends.pair.id, key, ImageKind.DELETE) for key in ends.keys(link)),
        dirty=tuple(_dirty_records(ends, link)),
    )


def _open(ends: Ends, link: Link, reason: str) -> Change:
    return Change(dirty=tuple(_dirty(ends, link, reason)))


def _dirty(ends: Ends, link: Link, reason: str) -> Iterator[Dirty]:
    for key in ends.keys(link):
        yield Dirty(ends.pair.id, key, reason)
    yield from _dirty_records(ends, link)


def _dirty_records(ends: Ends, link: Link) -> Iterator[Dirty]:
    for collection, key in ((ends.origin, link.from_id), (ends.target, link.to_id)):
        yield Dirty(collection.id, (key,), "an association changes computed properties")


# --- single -----------------------------------------------------------------------------


def link_of(variables: Mapping[str, str]) -> Link:
    """The two records that a path names."""
    return Link(*(storable_text(variables[name]) for name in ("from_id", "to_id")))


def associated(exchange: Exchange, schema: Schema) -> Change:
    """PUT of one association, in every version."""
    ends = ends_of(exchange.variables, schema)
    if ends is None:
        return Change(unmapped=1)
    body, link = answer(exchange) if exchange.response.body else {}, link_of(exchange.variables)
    if id_of(body.get("fromObjectId")) and id_of(body.get("toObjectId")):
        # The path may hold an id from before a merge; the answer never does.
        link = Link(id_of(body["fromObjectId"]), id_of(body["toObjectId"]))
    return _added(ends, link, body.get("labels"))


def dissociated(exchange: Exchange, schema: Schema) -> Change:
    """DELETE of one association with all its labels (204)."""
    ends = ends_of(exchange.variables, schema)
    return Change(unmapped=1) if ends is None else _removed(ends, link_of(exchange.variables))


def type_dissociated(exchange: Exchange, schema: Schema) -> Change:
    """DELETE of one association type (204): the pair may live on by another type."""
    ends = ends_of(exchange.variables, schema)
    if ends is None:
        return Change(unmapped=1)
    link = link_of(exchange.variables)
    return merged((_removed(ends, link), _open(ends, link, "another type may remain")))


# --- batches ----------------------------------------------------------------------------


def batch_associated(exchange: Exchange, schema: Schema) -> Change:
    """POST …/batch/create and …/batch/associate/default, v3 and v4."""
    links = tuple(_links(exchange))
    ends = ends_of(exchange.variables, schema)
    if ends is None:
        return Change(unmapped=len(links))
    listed = dict(_listed(answer(exchange)))
    if partly_failed(exchange.response):
        links = tuple(link for link in links if link in listed)
    return merged(_added(ends, link, listed.get(link)) for link in links)


def batch_dissociated(exchange: Exchange, schema: Schema) -> Change:
    """POST …/batch/archive: an empty answer, or one that tells no more."""
    links = tuple(_links(exchange))
    ends = ends_of(exchange.variables, schema)
    if ends is None:
        return Change(unmapped=len(links))
    if partly_failed(exchange.response):
        return merged(_open(ends, link, "a batch archive failed in part") for link in links)
    return merged(_removed(ends, link) for link in links)


def labels_removed(exchange: Exchange, schema: Schema) -> Change:
    """POST …/batch/labels/archive: which labels remain is not told."""
    links = tuple(_links(exchange))
    ends = ends_of(exchange.variables, schema)
    if ends is None:
        return Change(unmapped=len(links))
    return merged(_open(ends, link, "labels were removed") for link in links)


def _links(exchange: Exchange) -> Iterator[Link]:
    """Every (from, to) of a batch."""
    for each in objects_of(asked(exchange.request).get("inputs")):
        yield from links_of(each)


def links_of(given: Mapping[str, JSON]) -> Iterator[Link]:
    """Those of one input; `to` is an object, or a list of them (v4 archive)."""
    from_id = id_of(object_of(given.get("from")).get("id"))
    to = given.get("to")
    for end in objects_of(to if isinstance(to, list) else [to]):
        if from_id and id_of(end.get("id")):
            yield Link(from_id, id_of(end["id"]))


def _listed(body: Mapping[str, JSON]) -> Iterator[tuple[Link, JSON]]:
    for each in objects_of(body.get("results")):
        from_id = id_of(each.get("fromObjectId")) or id_of(
            object_of(each.get("from")).get("id")
        )
        to_id = id_of(each.get("toObjectId")) or id_of(object_of(each.get("to")).get("id"))
        yield Link(from_id, to_id), each.get("labels")


# --- with a new record ------------------------------------------------------------------


def created(exchange: Exchange, schema: Schema) -> Change:
    """H1: the record, and the associations that its request asked for."""
    change = images.record(exchange, schema)
    origin = find_objects(schema, exchange.variables["type"])
    wanted = tuple(objects_of(asked(exchange.request).get("associations")))
    if origin is None or not wanted or not change.images:
        return change
    return merged((change, *_with_record(schema, origin, change.images[0].key[0], wanted)))


def batch_created(exchange: Exchange, schema: Schema) -> Change:
    """H4: the records, and the associations that their inputs asked for.

    Which result belongs to which input is told only by `objectWriteTraceId`, or where
    there is just one; otherwise the pairs are marked to be read again.
    """
    change = images.records(exchange, schema)
    origin = find_objects(schema, exchange.variables["type"])
    inputs = tuple(objects_of(asked(exchange.request).get("inputs")))
    if origin is None or not any(each.get("associations") for each in inputs):
        return change
    results = tuple(objects_of(answer(exchange).get("results")))
    new_ids = {id_of(r.get("objectWriteTraceId")): id_of(r.get("id")) for r in results}
    if len(inputs) == len(results) == 1:
        new_ids[id_of(inputs[0].get("objectWriteTraceId"))] = id_of(results[0].get("id"))
    elif "" in new_ids:
        reason = "which of the new records they belong to is not told"
        pairs = pairs_of(schema, origin)
        return merged((change, Change(dirty=tuple(Dirty(p.id, None, reason) for p in pairs))))
    more = (
        part
        for each in inputs
        if (new := new_ids.get(id_of(each.get("objectWriteTraceId"))))
        for part in _with_record(
            schema, origin, new, tuple(objects_of(each.get("associations")))
        )
    )
    return merged((change, *more))


def _with_record(
    schema: Schema, origin: Collection, record_id: str, wanted: tuple[dict[str, JSON], ...]
) -> Iterator[Change]:
    for each in wanted:
        to_id = id_of(object_of(each.get("to")).get("id"))
        if not to_id:
            continue
        ends = ends_by_type(schema, origin, each)
        if ends is None:
            yield Change(unmapped=1)
        else:
            yield _added(ends, Link(record_id, to_id))


def ends_by_type(schema: Schema, origin: Collection, wanted: Mapping[str, JSON]) -> Ends | None:
    """The ends of an association that only its type tells."""
    for each in objects_of(wanted.get("types")):
        alias = type_alias(
            origin.id,
            id_of(each.get("associationCategory")),
            id_of(each.get("associationTypeId")),
        )
        pair = schema.find(alias)
        if pair is None or not is_pair(pair):
            continue
        left, right = pair.fields[0].type, pair.fields[1].type
        target = schema.find(right if left == origin.id else left)
        if target is not None:
            return Ends(origin, target, pair)
    return None
