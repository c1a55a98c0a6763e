"""A stream as server-sent events, the form that browsers' EventSource reads.

    retry: 2000                    how soon to connect again
    id: NjA1…                      the place: `Last-Event-ID`, when connecting again
    event: created                 what happened
    data: {"sync_id": …}           the document

A comment goes out when there is nothing to tell, with the place that was looked at so far:
who connects again need not have all of it searched once more. A reader that takes nothing
for STALLED_SECONDS is disconnected. So is one whose key has been revoked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing, suppress
from typing import Any, Final

from aiohttp import web

from httpproxy.api.operations import Answer, Ask
from httpproxy.management.problems import Declined
from httpproxy.store.errors import Unavailable
from httpproxy.streams.items import Item, StreamPage
from httpproxy.streams.reading import Start

log = logging.getLogger(__name__)

MEDIA: Final = "text/event-stream"
LAST_ID: Final = "Last-Event-ID"
RETRY_MILLISECONDS: Final = 2000
HEARTBEAT_SECONDS: Final = 15.0
STALLED_SECONDS: Final = 30.0
WRITE_BYTES: Final = 1 << 16  # that are handed to the system at once, about
# What readers of either stream may be declined for.
PROBLEMS: Final = (
    "unknown_provider",
    "unknown_collection",
    "unknown_sync",
    "cursor_expired",
    "too_many_readers",
)

Page = StreamPage[Item[Any]]
Following = AsyncGenerator[Page, None]


def wants_stream(ask: Ask) -> bool:
    """Whether a live stream is asked for, rather than a page."""
    accepted = ",".join(ask.request.headers.getall("Accept", []))
    kinds = {each.partition(";")[0].strip().lower() for each in accepted.split(",")}
    return ask.request.method == "GET" and MEDIA in kinds


def start_of(ask: Ask, after: str | None) -> Start:
    """Where a stream goes on: a reader that connects again says what it was told last."""
    last = ask.headers.get(LAST_ID)
    return Start(last, LAST_ID, ask.key.id) if last else Start(after, "after", ask.key.id)


def page(told: Page) -> Answer:
    """A page that has one after it even at the end: there the stream goes on. A header
    tells whether there was more already."""
    return Answer(
        [item.tell() for item in told.items],
        turn={"after": told.next.write()},
        headers={"Httpproxy-Stream": "end" if told.end else "more"},
    )


async def stream(ask: Ask, following: Following) -> web.StreamResponse:
    """Tells what follows until the reader leaves or this process drains.

    Raises Declined, Unavailable if not even the beginning can be told.
    """
    async with aclosing(following) as pages:
        first = await anext(pages)
        headers = {
            "Content-Type": MEDIA,
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",  # nginx passes on what it gets
            "X-Request-Id": ask.request_id,
        }
        response = web.StreamResponse(headers=headers)
        teller = _Teller(ask, response)
        try:
            await response.prepare(ask.request)
            await teller.begin(first)
            async for told in pages:
                await teller.tell(told)
            await teller.end()
        except Declined as declined:
            log.info("stream %s ends: %s", ask.request_id, declined.code)
        except (ConnectionError, TimeoutError):
            _hang_up(ask)  # it has left, or takes nothing
        except Exception:  # the answer has begun: it cannot become a problem any more
            log.exception("stream %s failed", ask.request_id)
            _hang_up(ask)
        return response


def _hang_up(ask: Ask) -> None:
    """Ends the connection, with what is still on its way there."""
    if ask.request.transport is not None:
        ask.request.transport.abort()


class _Teller:
    """Writes to one reader, and knows by the clock when to give it a sign of life."""

    def __init__(self, ask: Ask, response: web.StreamResponse) -> None:
        self._ask = ask
        self._response = response
        self._now = asyncio.get_running_loop().time
        self._told_at = self._now()

    async def begin(self, first: Page) -> None:
        """From here on the reader has a place, even if nothing is told before it leaves."""
        await self._write(b"retry: %d\n\n" % RETRY_MILLISECONDS)
        await self.tell(first)
        await self._write(_sign_of_life(first))

    async def tell(self, told: Page) -> None:
        """Raises ConnectionError, TimeoutError; Declined if the key is not valid any more."""
        if self._ask.request.transport is None:
            raise ConnectionResetError("the reader has left")
        await self._check_key()
        for messages in _messages(told.items):
            await self._write(messages)
        if self._now() - self._told_at >= HEARTBEAT_SECONDS:
            await self._write(_sign_of_life(told))

    async def end(self) -> None:
        async with asyncio.timeout(STALLED_SECONDS):
            await self._response.write_eof()

    async def _check_key(self) -> None:
        """Asks no database mostly: the valid keys are known, as of two seconds ago."""
        with suppress(Unavailable):  # nothing new can be told then, either
            await self._ask.recheck()

    async def _write(self, content: bytes) -> None:
        async with asyncio.timeout(STALLED_SECONDS):
            await self._response.write(content)
        self._told_at = self._now()


def _messages(items: Iterable[Item[Any]]) -> Iterator[bytes]:
    """Events of the stream, several at a time: each write costs as much as making a few."""
    some: list[bytes] = []
    size = 0
    for item in items:
        parts = (item.seq.encode(), item.event.encode(), item.json)
        some.append(b"id: %b\nevent: %b\ndata: %b\n\n" % parts)
        size += len(some[-1])
        if size >= WRITE_BYTES:
            yield b"".join(some)
            some, size = [], 0
    if some:
        yield b"".join(some)


def _sign_of_life(told: Page) -> bytes:
    """The place alone: readers take note of it, and are told nothing."""
    return b": listening\nid: %b\n\n" % told.reach.write().encode()
