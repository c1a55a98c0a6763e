"""The newest items of a stream, for all readers of a process that are near its end. Pure.

    since ── item ── item ── item ── until

Whatever of the stream stands between the two places is here, once; so a reader whose place is
among them can be told from here, by what it wants. What is old makes room for what is new;
who is behind it by then reads elsewhere.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import islice
from typing import Any, Final, Generic, TypeVar

from httpproxy.store.streams.places import Place, Wanted
from httpproxy.streams.documents import Document
from httpproxy.streams.items import Item, StreamPage

MOST: Final = 1000  # items
MOST_BYTES: Final = 8 << 20  # of JSON, about: as it is stored, and as much again as it is told

D = TypeVar("D", bound=Document)


class Ring(Generic[D]):
    """Holds at most `most` items of `most_bytes`. It has nothing before it has begun."""

    def __init__(self, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._items: list[Item[D]] = []
        self._bytes = 0
        self._newest: dict[tuple[str, ...], Item[D]] = {}
        self._since: Place | None = None
        self.until: Place | None = None

    def begin(self, at: Place) -> None:
        """From this place on."""
        self.clear()
        self._since = self.until = at

    def clear(self) -> None:
        """Forgets everything."""
        self._items, self._newest, self._bytes = [], {}, 0
        self._since = self.until = None

    def add(self, start: Place, page: StreamPage[Item[D]]) -> None:
        """Takes in what comes behind `start`, if that is where it ends by now."""
        if self.until != start:
            return
        for item in page.items:
            if item.record is not None:
                self._replace(item.record, item)
            self._items.append(item)
            self._bytes += item.size
        self.until = page.reach
        self._make_room()

    def after(
        self, place: Place, wanted: Wanted, limit: int, size: int
    ) -> StreamPage[Item[D]] | None:
        """What is wanted of what comes behind a place: up to `limit` items, and no more when
        they have `size` bytes. None if that is not all here."""
        if self._since is None or self.until is None or place < self._since:
            return None
        found: list[Item[D]] = []
        at = place
        left = size
        first = bisect_right(self._items, place, key=_place)
        for item in islice(self._items, first, None):
            at = item.place
            if wanted.takes(item):
                found.append(item)
                left -= item.size
                if len(found) == limit or left <= 0:
                    return StreamPage(tuple(found), at, end=False, reach=at)
        return StreamPage(tuple(found), at, end=True, reach=max(place, self.until))

    def _replace(self, record: tuple[str, ...], item: Item[D]) -> None:
        """A record is told at its newest place alone."""
        old = self._newest.get(record)
        self._newest[record] = item
        if old is not None:
            self._bytes -= old.size
            del self._items[bisect_right(self._items, old.place, key=_place) - 1]

    def _make_room(self) -> None:
        gone, held = 0, self._bytes
        while held > self._most_bytes or len(self._items) - gone > self._most:
            oldest = self._items[gone]
            held -= oldest.size
            self._since = oldest.place
            if oldest.record is not None:
                del self._newest[oldest.record]
            gone += 1
        del self._items[:gone]
        self._bytes = held


def _place(item: Item[Any]) -> Place:
    return item.place
