"""A collection's records, page by page.

Records come a hundred at a time, with every property if all fit into a URL. Of a type with
more properties than that, a thorough page reads the listed ids in a second call, and one
that need not be thorough makes do with ids and versions. Those miss what changes without
the record's modified date, as counts of associated records do; so they are told only where
they save calls.

Associations have no listing. The ids at the left end of a pair are listed, ten pages of
them, and then one call tells what belongs to each. Archived records are in no listing,
and neither are their pairs: who is missing is asked for by id (`reading`).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final
from urllib.parse import quote

import orjson

from providers.http import Request, Response
from providers.hubspot.calls import ask, get, segment
from providers.hubspot.fields import moment
from providers.hubspot.images import record_image
from providers.hubspot.objects import is_pair
from providers.hubspot.reading import (
    OBJECTS_AT_ONCE,
    PAIRS_AT_ONCE,
    Inputs,
    batch_read,
    pair_image,
    read_links,
)
from providers.hubspot.shapes import id_of, object_of, objects_of
from providers.record import JSON, Change, Collection, Dirty, Image, ImageKind
from providers.spec import ListingExpired, Page, Refused

LISTED: Final = "its listing shows another version than the row has"

# What HubSpot takes in a URL is not documented; its 414 is. Servers take 8 kB and more.
_LONGEST_QUERY: Final = 6_000
_LEAST: Final = "hs_object_id"
_TOO_LONG: Final = 414

Paging = Generator[Request, Response, Page]
Records = list[dict[str, JSON]]
Listing = Generator[Request, Response, tuple[Records, str | None]]


def list_page(collection: Collection, after: str | None, thorough: bool) -> Paging:
    """The page that begins at `after`. Raises ListingExpired, Refused.

    Pairs are always listed with their labels: nothing less is cheaper.
    """
    if is_pair(collection):
        return _pairs(collection, after)
    return _objects(collection, after, thorough)


# --- objects ----------------------------------------------------------------------------


def _listed(objects: str, after: str | None, properties: str) -> Listing:
    """A page of an object type's live records, and where the next one begins."""
    start = "" if after is None else f"&after={quote(after, safe='')}"
    path = f"/crm/v3/objects/{segment(objects)}?limit={OBJECTS_AT_ONCE}"
    body = yield from ask(get(f"{path}&properties={properties}{start}"))
    following = object_of(object_of(body.get("paging")).get("next")).get("after")
    return list(objects_of(body.get("results"))), id_of(following) or None


def _every_property(collection: Collection) -> str | None:
    """All properties as a URL lists them, None if they are too many for one."""
    names = ",".join(quote(name, safe="") for name in collection.by_name)
    return names if len(names) < _LONGEST_QUERY else None


def _objects(collection: Collection, after: str | None, thorough: bool) -> Paging:
    properties = collection.once(_every_property)
    try:
        if properties is not None:
            records, following = yield from _listed(collection.id, after, properties)
            return _images(collection, records, following)
    except Refused as no:
        if no.response.status != _TOO_LONG:
            raise
    records, following = yield from _listed(collection.id, after, _LEAST)
    if not thorough:
        return _versions(collection, records, following)
    if ids := [key for each in records if (key := id_of(each.get("id")))]:
        # Who has been archived since is not read: no record that there was all the time.
        records = yield from batch_read(collection.id, ids, [*collection.by_name])
    return _images(collection, records, following)


def _images(collection: Collection, records: Records, following: str | None) -> Page:
    found = tuple(
        image
        for each in records
        if (image := record_image(collection, each, ImageKind.REPLACE)) is not None
    )
    return _page(found, following)


def _page(images: tuple[Image, ...], following: str | None) -> Page:
    return Page(Change(images=images), tuple(image.key for image in images), following)


def _versions(collection: Collection, records: Records, following: str | None) -> Page:
    """Ids, each to be read if its row has another version."""
    marks = tuple(
        Dirty(collection.id, (key,), LISTED, moment(each.get("updatedAt")))
        for each in records
        if (key := id_of(each.get("id")))
    )
    return Page(Change(dirty=marks), tuple((each.key or ()) for each in marks), following)


# --- pairs ------------------------------------------------------------------------------


def _pairs(pair: Collection, after: str | None) -> Paging:
    """A page of pairs: of up to a thousand records at their left, or the rest of such.

    `after` holds where the left end's listing goes on, and those of whose many pairs
    there is more to be told first.
    """
    left, inputs = _place(after)
    if not inputs:
        ids, left = yield from _left_ids(pair.fields[0].type, left)
        inputs = [{"id": key} for key in ids]
    links, rest = (yield from read_links(pair, inputs)) if inputs else ({}, [])
    images = tuple(pair_image(pair, key, labels) for key, labels in links.items())
    if left is None and not rest:
        return _page(images, None)
    return _page(images, orjson.dumps({"left": left, "rest": rest}).decode())


def _left_ids(
    objects: str, after: str | None
) -> Generator[Request, Response, tuple[list[str], str | None]]:
    ids: list[str] = []
    for _ in range(PAIRS_AT_ONCE // OBJECTS_AT_ONCE):
        records, after = yield from _listed(objects, after, _LEAST)
        ids += [key for each in records if (key := id_of(each.get("id")))]
        if after is None:
            break
    return ids, after


def _place(after: str | None) -> tuple[str | None, Inputs]:
    """What `after` of a pair's page holds. Raises ListingExpired if it is not ours."""
    if after is None:
        return None, []
    try:
        place = object_of(orjson.loads(after))
        rest = [
            {"id": id_of(e["id"]), "after": id_of(e["after"])}
            for e in objects_of(place["rest"])
        ]
        return id_of(place["left"]) or None, rest
    except (orjson.JSONDecodeError, KeyError) as error:
        raise ListingExpired from error
