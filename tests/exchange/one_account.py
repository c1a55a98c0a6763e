"""One account that a sync and proxied writes share, at an API that notes every arrival.

The API answers everybody at once; what it counts is the account's rate limit, as it
sees it. `busiest_window` is the strictest reading of such a limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neighbours.house import BASE, House, add_sync, open_house
from neighbours.rawclient import Answer, connect, request_bytes
from neighbours.recorder import Recorder, Reply, Seen, http
from neighbours.wire import Head

from httpproxy.exchange.conversations import Conversations
from httpproxy.exchange.directory.syncs import Live
from httpproxy.store.registry import Sync
from httpproxy.upstream.limiter import Limiter
from providers.http import Request, Response
from providers.spec import Conversation

API = "api.airtable.com"
TARGET = f"/v0/{BASE}/Tasks"
JSON_TYPE = ("Content-Type", "application/json")


class Api(Recorder):
    """Answers each create with a record of its own, and each read with nothing in it."""

    def _reply_to(self, head: Head) -> Reply:
        ordered = self.replies or any(TARGET.startswith(begin) for begin in self.by_target)
        if ordered or not head.start.startswith("POST"):
            return super()._reply_to(head)
        record = f'"rec{len(self.seen):014}","createdTime":"2026-11-21T12:00:00.000Z"'
        return http(200, JSON_TYPE, body=b'{"id":%b,"fields":{}}' % record.encode())


@dataclass(frozen=True)
class OneAccount:
    """The service, its sync of the account, and the API."""

    house: House
    sync: Sync
    api: Recorder

    @property
    def limiter(self) -> Limiter:
        return self.house.service.office.limiter

    @property
    def calls(self) -> Conversations:
        return self.house.service.office.conversations

    @property
    def live(self) -> Live:
        return self.live_of(self.sync)

    def live_of(self, sync: Sync) -> Live:
        """A sync as the running service knows it."""
        live = self.house.service.directory.known(sync.unique_id)
        assert live is not None
        return live

    async def write(
        self, sync: Sync | None = None, target: str = f"/{API}{TARGET}", token: str = "pat"
    ) -> Answer:
        """A proxied create, on a connection of its own. `target` begins with the host."""
        door = self.house.door(sync or self.sync)
        async with connect(door.host, door.port) as client:
            headers = [JSON_TYPE, ("Authorization", f"Bearer {token}")]
            address = f"/{door.unique_id}{target}"
            return await client.exchange(request_bytes("POST", address, headers, b"{}"))

    async def keep_writing(self, enough: asyncio.Event) -> None:
        """Writes one after the other until it is enough; the last one is answered too."""
        while not enough.is_set():
            assert (await self.write()).status == 200

    def arrivals(self, method: str | None = None) -> list[float]:
        """When calls came to the API, all or those of a method."""
        return [seen.at for seen in self.api.seen if method in (None, seen.method)]


def reading(count: int = 1) -> Conversation[list[int]]:
    """A conversation of the sync: so many reads, one after the other; their statuses."""
    return _reading(count)


def _reading(count: int) -> Generator[Request, Response, list[int]]:
    statuses = []
    for _ in range(count):
        response = yield Request("GET", API, TARGET)
        statuses.append(response.status)
    return statuses


def busiest_window(moments: Iterable[float], interval: float) -> int:
    """The most arrivals in any window of `interval` seconds."""
    ordered = sorted(moments)
    most = begin = 0
    for end, moment in enumerate(ordered):
        while ordered[begin] <= moment - interval:
            begin += 1
        most = max(most, end - begin + 1)
    return most


def before_first_write(seen: list[Seen], begin: int) -> int:
    """How many reads came from the `begin`-th arrival on, before the next write."""
    methods = [one.method for one in seen[begin:]]
    return methods.index("POST")


async def until(condition: Any) -> None:
    """Waits until the condition holds, a turn of the loop at a time."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)


@asynccontextmanager
async def open_account(
    dsn: str, folder: Path, allowed_requests: int, interval: float, **settings: Any
) -> AsyncIterator[OneAccount]:
    """A service with one sync, allotted `allowed_requests` per `interval` seconds."""
    async with Api() as api, open_house(dsn, folder, api.url, **settings) as house:
        sync = await add_sync(
            house, "airtable", allowed_requests=allowed_requests, interval=interval
        )
        await house.service.directory.refresh()
        yield OneAccount(house, sync, api)
