"""The API as the sync asks it: pages, single records, feeds, out of the model's records.

Each answer shows records as they were at one moment between its question and its end; the
schedule says when that is. A feed tells of what has changed and is there; of deletions it
tells nothing. A listing may leave records out: not every API's shows all that there are.

    claim   a version that an answer showed or told: from then on the house answers for it
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from httpproxy.upstream.lane import Priority
from providers.record import JSON, Change, Collection, Dirty, Image
from providers.spec import Feed, Heard, Page
from tests.model.authority import VALUES, Life, Record
from tests.model.turnstile import Line

if TYPE_CHECKING:
    from tests.model.stage import Stage

Claim = tuple[Record, int, tuple[str, ...]]  # a version, and the columns that show it
Asked = Callable[[Priority], Awaitable[Any]]
Key = tuple[str, ...]
_PAGES: Final = 2
_LEFT_OUT: Final = 16  # one record of so many is left out of a listing


class UpstreamModel:
    """Stands where a `Provider` stands; what would be a conversation is a coroutine."""

    def __init__(self, stage: Stage) -> None:
        self.chronicle = stage.chronicle
        self.claims: list[Claim] = []
        self.complete = False  # listings leave nothing out any more
        self._stage = stage
        self._open: dict[int, tuple[Change, list[Claim]]] = {}
        self._runs = 0

    # A provider's members

    def read_records(self, _: Collection, keys: Sequence[Key]) -> Asked:
        return partial(self._read, keys)

    def list_page(self, collection: Collection, after: str | None, thorough: bool) -> Asked:
        return lambda _: self._list(collection.id, after, thorough)

    def feeds(self, collections: Sequence[Collection]) -> tuple[Feed, ...]:
        return tuple(Feed(c.id, (c,)) for c in collections)

    def listen(self, feed: Feed, state: JSON, _: float) -> Asked:
        return lambda _: self._listen(feed.collections[0].id, state)

    # What the house has taken in

    def taken_in(self, change: Change, refused: Sequence[Dirty]) -> None:
        """The house has committed a change; what it refused is about to be marked."""
        self._stage.house.images += len(change.images)
        self._stage.house.overlaps += len(refused)
        for image in change.images:
            self.shown(image)
        self.claims += self._open.pop(id(change), (change, []))[1]

    def shown(self, image: Image) -> None:
        """The house has committed this image, or has to read its record again."""
        told: Any = image.data
        record = self._stage.record(image.record_id)
        self.claims.append((record, told["version"], tuple(told["columns"])))

    # Answers

    async def _read(self, keys: Sequence[Key], priority: Priority) -> tuple[Image, ...]:
        records = [self._stage.record(key[0]) for key in keys]
        what = priority.name.lower()
        line = self._stage.line
        if priority is Priority.WRITE:
            line, what = self._stage.line_of(records[0]), "read back"
        await self._stop(line, f"{what} by id: asked for", records)
        images = tuple(record.image(record.version) for record in records)
        await self._stop(line, f"{what} by id: answered", records)
        return images

    async def _stop(self, line: Line, where: str, records: Sequence[Record]) -> None:
        if line is self._stage.line:
            self._stage.tell(records, where)
        await self._stage.stop(line, where)

    async def _list(self, collection: str, after: str | None, thorough: bool) -> Page:
        if after is None:
            self._runs += 1
        run, part = (int(n) for n in (after or f"{self._runs} 0").split())
        await self._stage.stop(self._stage.line, "listing: page asked for")
        found = [r for r in self._stage.records(collection) if r.now.life is Life.LIVE]
        found = [r for r in found[part::_PAGES] if self._lists(r, run)]
        change = self._page(found, thorough)
        await self._stop(self._stage.line, "listing: page answered", found)
        more = None if part + 1 == _PAGES else f"{run} {part + 1}"
        return Page(change, tuple((record.id,) for record in found), more)

    def _page(self, found: Sequence[Record], thorough: bool) -> Change:
        """Images, or where versions will do, marks with the versions."""
        whole = [r for r in found if thorough or r.stamp(r.version) is None]
        rest = [r for r in found if r not in whole]
        return self._claimed(rest, Change(tuple(r.image(r.version) for r in whole)))

    def _claimed(self, told: Sequence[Record], change: Change) -> Change:
        """The change with marks of what was told; the claims wait until it is taken in."""
        marks = tuple(
            Dirty(r.style.collection.id, (r.id,), "it was told", r.stamp(r.version))
            for r in told
        )
        change = Change(change.images, marks)
        self._open[id(change)] = (change, [(r, r.version, VALUES) for r in told])
        return change

    async def _listen(self, collection: str, state: JSON) -> Heard:
        changes = self._stage.chronicle.changes
        if not isinstance(state, int):
            return Heard(Change(), len(changes))
        await self._stage.stop(self._stage.line, "feed: asked for")
        news = dict.fromkeys(r for r in changes[state:] if r.style.collection.id == collection)
        told = [record for record in news if record.now.life is Life.LIVE]
        heard = Heard(self._claimed(told, Change()), len(changes))
        await self._stop(self._stage.line, "feed: answered", told)
        return heard

    def _lists(self, record: Record, run: int) -> bool:
        if self.complete or self._stage.house.habits.lists_all:
            return True
        return zlib.crc32(f"{record.id} {run}".encode()) % _LEFT_OUT != 0
