"""A table's records, page by page.

Every reading of records is a `listRecords`: the whole table, the records with certain
ids, those that were modified since a time. All values come with it, keyed by field id,
so that a rename on the way does no harm.

Airtable remembers a listing that is being paged through under an iterator, named in the
`offset`; it ends after some minutes without a call, and then the listing begins again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from providers.airtable.calls import json_request, table_path
from providers.airtable.records import RecordImage, listed_images, records_in
from providers.airtable.refusals import RECORDS_REMEDY, refused, said, unreadable
from providers.body import read_json
from providers.http import Request, Response
from providers.record import JSON, Change, Collection, Dirty
from providers.spec import Conversation, ListingExpired, Page, Refused, Unreadable

PAGE: Final = 100

_EXPIRED: Final = "LIST_RECORDS_ITERATOR_NOT_AVAILABLE"


class Listed(NamedTuple):
    """What one page holds, and the offset of the next; None if this was the last."""

    records: tuple[RecordImage, ...]
    offset: str | None
    response: Response


def list_page(collection: Collection, after: str | None, thorough: bool) -> Conversation[Page]:
    """The page that begins at Airtable's offset `after`, with an image of every record.

    Values are always asked for: a sweep is also what finds changes of computed fields,
    and without them the page would cost the same request. Raises ListingExpired, Refused.
    """
    del thorough
    try:
        listed = yield from list_records(collection, "", after)
    except Refused as refusal:
        if has_expired(refusal):
            raise ListingExpired(f"Airtable no longer knows the offset {after}") from refusal
        raise
    return Page(
        change=change_of(collection, listed.records),
        seen=tuple(read.image.key for read in listed.records),
        after=listed.offset,
    )


def list_records(
    collection: Collection, formula: str, after: str | None
) -> Conversation[Listed]:
    """One page of the records for which a formula holds, "" for all of them.

    `collection` must come from discovery. Raises Refused.
    """
    response = yield _request(collection, formula, after)
    if not response.ok:
        raise refused(response, RECORDS_REMEDY)
    try:
        return _listed(collection, response, after)
    except Unreadable as error:
        raise unreadable(response) from error


def has_expired(refusal: Refused) -> bool:
    """Whether a listing was refused because Airtable has forgotten its iterator."""
    return said(refusal.response)[0] == _EXPIRED


def change_of(collection: Collection, records: Sequence[RecordImage]) -> Change:
    """What the records of a listing mean: images, and marks of those still being worked on."""
    return Change(
        images=tuple(read.image for read in records),
        dirty=tuple(
            Dirty(collection.id, read.image.key, "Airtable is still working on a cell")
            for read in records
            if not read.settled
        ),
        schema_changed=any(read.unknown for read in records),
    )


def _request(collection: Collection, formula: str, after: str | None) -> Request:
    asked: dict[str, JSON] = {"pageSize": PAGE, "returnFieldsByFieldId": True}
    if formula:
        asked["filterByFormula"] = formula
    if after:
        asked["offset"] = after
    return json_request("POST", f"{table_path(collection)}/listRecords", asked)


def _listed(collection: Collection, response: Response, after: str | None) -> Listed:
    answer = read_json(response)
    records = listed_images(collection, records_in(answer))
    offset = answer.get("offset") if isinstance(answer, dict) else None
    if not offset:
        return Listed(records, None, response)
    if not isinstance(offset, str) or offset == after:
        raise Unreadable("the listing does not go on from its offset")
    return Listed(records, offset, response)
