"""The live end of the streams: readers that are told of what is committed as it is.

    a commit of this process ──> stir ─┐
    a moment has passed ───────────────┴─> look at the border ──> each feed reads on, once
                                                  into its ring ──> wake ──> every reader

Only while somebody listens. What comes goes into a ring of recent items, and whoever is near
the end is told from there. Who is not, since it has just come, or is slow, or what it wants is
long past, reads pages of its own from the database until it has caught up. A reader is at one
place, so nothing is skipped, whether it was woken in time or not; and it holds nothing but
the page in its hands.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from httpproxy.management.problems import Declined
from httpproxy.store.errors import Stale, Unavailable
from httpproxy.store.streams.bearings import Border
from httpproxy.store.streams.places import Place, Wanted
from httpproxy.streams.documents import Document
from httpproxy.streams.items import Item, StreamPage
from httpproxy.streams.ring import Ring

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.05
AGAIN_SECONDS: Final = 0.005  # after a commit of ours that another transaction holds back
BREATHS: Final = 3.0  # a look is followed by a rest of so many times what it took
REST_SECONDS: Final = 5.0  # a reader that nothing is told is given a sign of life to pass on
AWAY_SECONDS: Final = 1.0
SEARCH_PAUSE: Final = 0.01  # between looks for what is rare
PULLS_AT_ONCE: Final = 2  # of the process's connections, most are for others
SHARED_PULL: Final = 250  # items that are read for all at once
HANDFUL: Final = 250  # items in the hands of a reader that reads by itself
HANDFUL_BYTES: Final = 1 << 18  # and about so many bytes of them
PINCH_BYTES: Final = 1 << 16  # of what it is told from the ring, until others have their turn
FIRST_PULL: Final = 50  # while nobody knows how large they are
LEAST_PULL: Final = 5

D = TypeVar("D", bound=Document)
Page = StreamPage[Item[D]]


@dataclass(eq=False)
class Feed(Generic[D]):
    """A stream as it is read for all who listen: `edge` is where it ends by now, `pull` reads
    so many items behind a place, whoever wants them."""

    edge: Callable[[], Awaitable[Place]]
    pull: Callable[[Place, int], Awaitable[Page[D]]]
    ring: Ring[D] = field(default_factory=Ring)
    readers: int = 0


@dataclass(frozen=True, slots=True)
class Reader(Generic[D]):
    """Who listens: to what, of that what it wants by now, how it reads so many items behind a
    place by itself, and with which API key."""

    feed: Feed[D]
    wanted: Callable[[], Awaitable[Wanted]]
    pull: Callable[[Place | None, int], Awaitable[Page[D]]]
    key_id: str = ""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many readers may listen at a time, and how many that use the same API key."""

    most: int
    of_a_key: int


class Tail:
    """The readers of a process. `border` looks how far the streams are complete."""

    def __init__(self, border: Callable[[], Awaitable[Border]], bounds: Bounds) -> None:
        self._border = border
        self._bounds = bounds
        self._of_keys: Counter[str] = Counter()
        self._feeds: list[Feed[Any]] = []  # that somebody listens to
        self._seen: int | None = None
        self._pause = 0.0  # until the next look
        self._stirred = asyncio.Event()
        self._moved = asyncio.Event()
        self._listened = asyncio.Event()
        self._turns = asyncio.Semaphore(PULLS_AT_ONCE)
        self._ticks = 0
        self._ticker: asyncio.TimerHandle | None = None
        self._closed = False
        self.readers = 0

    async def keep(self) -> None:
        """Reads on and wakes the readers when there is more, until it is cancelled."""
        now = asyncio.get_running_loop().time
        while True:
            await self._listened.wait()
            began = now()
            if await self._look():
                await asyncio.sleep(min(BREATHS * (now() - began), POLL_SECONDS))
                await _heard(self._stirred, self._pause)
            else:
                await asyncio.sleep(AWAY_SECONDS)

    def stir(self) -> None:
        """This process has committed something: there may be more at once."""
        if self.readers:
            self._stirred.set()

    def wake(self) -> None:
        """Lets every reader look whether there is more for it."""
        self._moved.set()
        self._moved = asyncio.Event()

    def close(self) -> None:
        """Ends all readers after what they are telling just now: the process drains."""
        self._closed = True
        self.wake()

    async def follow(
        self, reader: Reader[D], place: Place | None
    ) -> AsyncGenerator[Page[D], None]:
        """What comes after a place, until the process drains; close it when done.

        Now and then it yields nothing, so that the caller can tell its own reader that it
        is there still. A database that is away is waited for, but for the first time: then
        Unavailable is raised. Raises Declined.
        """
        with self._listening(reader):
            told: Page[D] | None = None
            near, tick, pull = False, -1, FIRST_PULL
            while not self._closed:
                moved = self._moved
                try:
                    near, told = await self._next(reader, place, near, pull)
                except (Unavailable, Stale):
                    if told is None:
                        raise
                    told = StreamPage((), told.next, end=False, reach=told.reach)
                    await asyncio.sleep(AWAY_SECONDS)
                place, pull = told.reach, _handful(told, pull)
                if told.items or not told.end or tick != self._ticks:
                    tick = self._ticks
                    yield told
                if not told.end:
                    await asyncio.sleep(0 if told.items else SEARCH_PAUSE)
                elif not self._closed:
                    await moved.wait()

    async def _next(
        self, reader: Reader[D], place: Place | None, near: bool, limit: int
    ) -> tuple[bool, Page[D]]:
        """From the ring for one that is near the end; for others so many items from the
        database. Whether it is near by then."""
        if near and place is not None:
            wanted, ring = await reader.wanted(), reader.feed.ring
            shared = ring.after(place, wanted, HANDFUL, PINCH_BYTES)
            if shared is not None:
                return True, shared
        async with self._turns:
            own = await reader.pull(place, limit)
        return own.end, own

    # --- for all readers ---------------------------------------------------------------

    async def _look(self) -> bool:
        """Reads on if the border has moved; False if that has to wait."""
        stirred = self._stirred.is_set()
        self._stirred.clear()
        try:
            border = await self._border()
            if border.transaction != self._seen or self._has_new_feed():
                self._seen = None
                done = [await self._read_on(feed) for feed in self._feeds[:]]
                self._seen = border.transaction if all(done) else None
        except (Unavailable, Stale):
            return False
        except Exception:  # a query that an administrator cancels ends no process
            log.exception("what is new could not be read for all; each reader tries by itself")
            for feed in self._feeds:
                feed.ring.clear()
            self.wake()
            return False
        if border.open and stirred:
            self._pause = AGAIN_SECONDS
        else:
            self._pause = min(2 * self._pause, POLL_SECONDS) if border.open else POLL_SECONDS
        return True

    def _has_new_feed(self) -> bool:
        return any(feed.ring.until is None for feed in self._feeds)

    async def _read_on(self, feed: Feed[D]) -> bool:
        """Into the ring, up to the end; False if there is more that cannot be had now."""
        ring = feed.ring
        if ring.until is None:
            ring.begin(await feed.edge())
            self.wake()  # what came before this is not in it
        while (start := ring.until) is not None:
            page = await feed.pull(start, SHARED_PULL)
            ring.add(start, page)
            if page.items:
                self.wake()
            if page.end or not page.items:
                return page.end
        return True  # nobody listens any more

    # --- places of readers -------------------------------------------------------------

    @contextmanager
    def _listening(self, reader: Reader[D]) -> Iterator[None]:
        """The place of one reader. Raises Declined if all, or all of its key, are taken."""
        bounds, key_id, feed = self._bounds, reader.key_id, reader.feed
        if self._closed:
            raise _declined("This process is about to end; connect again.")
        if self.readers >= bounds.most:
            raise _declined(
                f"{bounds.most} readers are listening already, the setting max_streams; try"
                " again in a while, or read pages."
            )
        if self._of_keys[key_id] >= bounds.of_a_key:
            raise _declined(
                f"{bounds.of_a_key} readers with this API key are listening already, the"
                " setting max_streams_per_key; end one of them, or read pages."
            )
        self.readers += 1
        self._of_keys[key_id] += 1
        feed.readers += 1
        if feed.readers == 1:
            self._feeds.append(feed)
        if self.readers == 1:
            self._listened.set()
            self._tick()
        try:
            yield
        finally:
            self._leave(feed, key_id)

    def _leave(self, feed: Feed[D], key_id: str) -> None:
        self.readers -= 1
        self._of_keys[key_id] -= 1
        if not self._of_keys[key_id]:
            del self._of_keys[key_id]
        feed.readers -= 1
        if not feed.readers:
            self._feeds.remove(feed)
            feed.ring.clear()
        if not self.readers:
            self._listened.clear()
            if self._ticker is not None:
                self._ticker.cancel()

    def _tick(self) -> None:
        """Signs of life do not depend on the database."""
        self._ticks += 1
        self.wake()
        self._ticker = asyncio.get_running_loop().call_later(REST_SECONDS, self._tick)


def _handful(told: Page[Any], before: int) -> int:
    """How many items like these make a handful."""
    if not told.items:
        return before
    each = sum(item.size for item in told.items) // len(told.items) + 1
    return max(LEAST_PULL, min(HANDFUL, HANDFUL_BYTES // each))


async def _heard(event: asyncio.Event, seconds: float) -> None:
    """Waits for an event, so long at most."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


def _declined(detail: str) -> Declined:
    declined = Declined("too_many_readers", detail)
    declined.headers["Retry-After"] = "5"
    return declined
