"""Records created since a time: where a create ended up whose answer was lost.

Asked for by the time of creation, which Airtable sets by its own clock, in seconds, and
never changes. Hence the margin: a record told too much does no harm.
"""

from __future__ import annotations

from typing import Final

from providers.airtable.calls import parsed_moment
from providers.airtable.listing import has_expired, list_records
from providers.record import Collection, Image
from providers.spec import Conversation, Refused

MARGIN: Final = 120.0  # seconds that two clocks may differ

_AGAIN: Final = 2


def list_created(collection: Collection, since: float) -> Conversation[tuple[Image, ...]]:
    """REPLACE images of the records created at or after `since` (epoch seconds, our clock).

    Those of the 120 seconds before may be among them, and those that have been deleted are
    not. A listing that Airtable forgets begins again, twice at most. Raises Refused.
    """
    formula = f"IS_AFTER(CREATED_TIME(),{parsed_moment(since - MARGIN)})"
    for _ in range(_AGAIN):
        try:
            return (yield from _all_pages(collection, formula))
        except Refused as refusal:
            if not has_expired(refusal):
                raise
    return (yield from _all_pages(collection, formula))


def _all_pages(collection: Collection, formula: str) -> Conversation[tuple[Image, ...]]:
    found: dict[str, Image] = {}
    offset: str | None = None
    while True:
        listed = yield from list_records(collection, formula, offset)
        found.update((read.image.record_id, read.image) for read in listed.records)
        offset = listed.offset
        if offset is None:
            return tuple(found.values())
