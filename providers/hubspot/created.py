"""Records created since a time: where a create ended up whose answer was lost.

Search finds them by the date of creation, some seconds after they were made: its index
lags behind, and whoever asks has to ask again. Values are read by id.
"""

from __future__ import annotations

from typing import Final

from providers.hubspot.objects import is_pair
from providers.hubspot.reading import read_records
from providers.hubspot.searching import at_or_after, search
from providers.record import Collection, Image, ImageKind
from providers.spec import Conversation

MARGIN: Final = 120.0  # seconds that two clocks may differ

# Contacts have the first, most types both, some the second only; a deal's first one can be
# set to any date by those who make it.
_CREATED: Final = ("createdate", "hs_createdate")


def list_created(collection: Collection, since: float) -> Conversation[tuple[Image, ...]]:
    """REPLACE images of the records created at or after `since` (epoch seconds, our clock).

    Those of the 120 seconds before may be among them, those of the last seconds may not yet
    be. Archived ones are not found. There is nothing to find of a pair: associations have
    no time of creation. Raises Refused.
    """
    dates = [name for name in _CREATED if name in collection.by_name]
    if is_pair(collection) or not dates:
        return ()
    moment = int(max(since - MARGIN, 0.0) * 1000)
    filters = [at_or_after(name, moment) for name in dates]
    images: list[Image] = []
    last = "0"
    while True:
        found = yield from search(collection, filters, last)
        read = yield from read_records(collection, [(key,) for key, _ in found.hits])
        images += (image for image in read if image.kind is ImageKind.REPLACE)
        if not found.goes_on:
            return tuple(images)
        last = found.last
