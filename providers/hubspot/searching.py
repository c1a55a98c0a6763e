"""Searching an object type, page by page in the order of ids.

Search goes up to ten thousand results, so a walk begins each page after the last id of the
page before: records that change under way do not shift it, and it may take as long as it
takes. What a search tells is as old as its index: ids are taken from it, never values.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from typing import Final, NamedTuple

from providers.http import Request, Response
from providers.hubspot.calls import post, segment, told
from providers.hubspot.shapes import id_of, object_of, objects_of
from providers.record import JSON, Collection

LARGEST_PAGE: Final = 200

_NUMBER: Final = re.compile(r"[0-9]{1,30}")
_ID: Final = "hs_object_id"

Hits = list[tuple[str, dict[str, JSON]]]


class Found(NamedTuple):
    """The hits of one page (id, record) in their order, and whether there are more."""

    hits: Hits
    goes_on: bool
    response: Response

    @property
    def last(self) -> str:
        """The greatest id of the page, after which the next one begins."""
        return str(max(int(key) for key, _ in self.hits))


def at_or_after(property_name: str, moment: int) -> dict[str, JSON]:
    """The filter for a date at or after `moment`, in milliseconds since 1970."""
    return {"propertyName": property_name, "operator": "GTE", "value": str(moment)}


def search(
    collection: Collection,
    any_of: Sequence[dict[str, JSON]],
    after: str,
    limit: int = LARGEST_PAGE,
) -> Generator[Request, Response, Found]:
    """The records with ids beyond `after` that pass one of the filters, five at most.

    Raises Refused.
    """
    beyond: JSON = {"propertyName": _ID, "operator": "GT", "value": after}
    response = yield post(
        f"/crm/v3/objects/{segment(collection.id)}/search",
        {
            "filterGroups": [{"filters": [each, beyond]} for each in any_of],
            "sorts": [{"propertyName": _ID, "direction": "ASCENDING"}],
            "properties": [_ID],
            "limit": limit,
        },
    )
    body = told(response)
    hits = [
        (key, each)
        for each in objects_of(body.get("results"))
        if _NUMBER.fullmatch(key := id_of(each.get("id")))
    ]
    goes_on = bool(hits) and bool(object_of(body.get("paging")).get("next"))
    return Found(hits, goes_on, response)
