"""The live end of the streams: readers that are told of what is committed as it is.

One question a moment asks how far the streams have come, for all readers of the process
and only while there are any. When they have come further every reader pulls its own page
from where it is, at its own pace: one that is slow keeps nothing in memory but the page in
its hands. A reader is at one place, so nothing is skipped and nothing depends on whether
it was woken in time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from httpproxy.management.problems import Declined
from httpproxy.store.errors import Stale, Unavailable
from httpproxy.store.streams.places import Place

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.1
REST_SECONDS: Final = 5.0  # a reader that nothing is told is given a sign of life to pass on
AWAY_SECONDS: Final = 1.0
SEARCH_PAUSE: Final = 0.01  # between looks for what is rare
PULLS_AT_ONCE: Final = 2  # of the process's connections, most are for others

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class StreamPage(Generic[T_co]):
    """What was told. `next` is where to go on; `end`: there was no more by then."""

    items: tuple[T_co, ...]
    next: Place
    end: bool


Pull = Callable[[Place | None], Awaitable[StreamPage[T]]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many readers may listen at a time, and how many that use the same API key."""

    most: int
    of_a_key: int


class Tail:
    """The readers of a process."""

    def __init__(self, horizon: Callable[[], Awaitable[Place]], bounds: Bounds) -> None:
        self._horizon = horizon
        self._bounds = bounds
        self._of_keys: Counter[str] = Counter()
        self._moved = asyncio.Event()
        self._listened = asyncio.Event()
        self._turns = asyncio.Semaphore(PULLS_AT_ONCE)
        self._closed = False
        self.readers = 0

    async def keep(self) -> None:
        """Wakes the readers when there is more, until it is cancelled."""
        seen: Place | None = None
        while True:
            await self._listened.wait()
            pause = POLL_SECONDS
            try:
                now = await self._horizon()
            except OSError:
                pause = AWAY_SECONDS  # the readers see it themselves, and say so
            except Exception:  # a query that an administrator cancels ends no process
                log.exception("how far the streams are could not be read; readers wait")
                pause = AWAY_SECONDS
            else:
                if now != seen:
                    seen = now
                    self.wake()
            await asyncio.sleep(pause)

    def wake(self) -> None:
        """Lets every reader look whether there is more for it."""
        self._moved.set()
        self._moved = asyncio.Event()

    def close(self) -> None:
        """Ends all readers after what they are telling just now: the process drains."""
        self._closed = True
        self.wake()

    @contextmanager
    def listening(self, key_id: str) -> Iterator[None]:
        """The place of one reader. Raises Declined if all, or all of its key, are taken."""
        bounds = self._bounds
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
        self._listened.set()
        try:
            yield
        finally:
            self.readers -= 1
            self._of_keys[key_id] -= 1
            if not self._of_keys[key_id]:
                del self._of_keys[key_id]
            if not self.readers:
                self._listened.clear()

    async def follow(
        self, pull: Pull[T], place: Place | None, key_id: str = ""
    ) -> AsyncGenerator[StreamPage[T], None]:
        """What comes after a place, until the process drains; close it when done.

        `key_id` is the API key whose reader it is.

        Now and then it yields nothing, so that the caller can tell its own reader that it
        is there still. A database that is away is waited for, but for the first time: then
        Unavailable is raised. Raises Declined.
        """
        with self.listening(key_id):
            told: StreamPage[T] | None = None
            while not self._closed:
                moved = self._moved
                try:
                    async with self._turns:
                        told = await pull(place)
                except (Unavailable, Stale):
                    if told is None:
                        raise
                    told = StreamPage((), told.next, end=False)
                    await asyncio.sleep(AWAY_SECONDS)
                place = told.next
                yield told
                if not (told.items or told.end):
                    await asyncio.sleep(SEARCH_PAUSE)
                while told.end and not moved.is_set():
                    try:
                        await asyncio.wait_for(moved.wait(), REST_SECONDS)
                    except TimeoutError:
                        yield StreamPage((), place, end=True)


def _declined(detail: str) -> Declined:
    declined = Declined("too_many_readers", detail)
    declined.headers["Retry-After"] = "5"
    return declined
