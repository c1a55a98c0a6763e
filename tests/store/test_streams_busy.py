"""Readers of the events while several processes commit and transactions stay open."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import psycopg

from httpproxy.store.commits.commit import Committer
from httpproxy.store.streams.places import Event, Place, Wanted
from httpproxy.store.streams.stream import EventStream
from tests.store.world import World, deletion, image, said

ALL = Wanted()
RECORDS = ("a", "b", "c")
TURNS = 30
FEW = 5
NEW = """
INSERT INTO httpproxy.event (sync_id, collection_id, upstream_id, event, origin, request_id)
VALUES ('another', 'c', 'slow', 'created', 'sync', 'q')"""


@dataclass
class Busy:
    """Who writes and who reads, until they are told that it is enough."""

    world: World
    writing: bool = True
    open: bool = True

    async def writes(self, number: int) -> None:
        """A process that writes all records, over and over, as the others do."""
        async with Committer(self.world.dsn) as committer:
            for turn in range(TURNS):
                images = [image(r, name=f"{number}.{turn}.{r}") for r in RECORDS]
                await self.world.apply(committer, *images[turn % 3 :])
                if turn % 10 == number:
                    await self.world.apply(committer, deletion("c"))

    async def dawdles(self, seconds: float) -> None:
        """Somebody who writes an event and commits it later."""
        async with await psycopg.AsyncConnection.connect(self.world.dsn) as connection:
            while self.writing:
                await connection.execute(NEW)
                await asyncio.sleep(seconds)
                await connection.commit()

    async def reads(self, limit: int, wanted: Wanted) -> list[Event]:
        """All events, page by page, from before the first one until after the last."""
        stream, found = EventStream(self.world.database), list[Event]()
        place: Place | None = None
        enough = False
        while not enough:
            is_over = not self.open
            page = await stream.after(place, wanted, limit)
            found += said(page)
            place, enough = page.next, is_over and page.end
        return found


async def run(world: World, readers: Sequence[tuple[int, Wanted]]) -> list[list[Event]]:
    """What each reader was told."""
    busy = Busy(world)
    async with asyncio.TaskGroup() as tasks:
        reading: list[Any] = [tasks.create_task(busy.reads(*reader)) for reader in readers]
        dawdling = [tasks.create_task(busy.dawdles(0.004 * n)) for n in (1, 2, 3)]
        await asyncio.gather(*(busy.writes(number) for number in range(3)))
        busy.writing = False
        await asyncio.wait(dawdling)
        busy.open = False
    return [reader.result() for reader in reading]


async def test_readers_miss_nothing_while_many_write_to_the_same_records(
    world: World,
) -> None:
    ours = Wanted(sync_ids=[world.sync.id])
    one, seven, of_sync = await run(world, [(1, ALL), (7, ALL), (1000, ours)])
    events = said(await EventStream(world.database).after(None, ALL, 10_000))
    (count,) = await world.ask("SELECT count(*) AS n FROM httpproxy.event")
    assert len(events) == count["n"]
    assert one == seven == events
    assert of_sync == [event for event in events if event.sync_id == world.sync.id]
    for record in RECORDS:
        events = [event for event in of_sync if event.upstream_id == record]
        # Of writes that overlap only some make events; how many is the machine's affair.
        assert len(events) >= FEW
        assert_follow(events)


def assert_follow(events: list[Event]) -> None:
    """Each event of a record begins with what the one before has left."""
    for before, after in pairwise(events):
        assert before.place < after.place
        assert (before.event == "deleted") == (after.event == "created")
        if after.event == "updated":
            assert isinstance(before.data, dict)
            assert after.changes == {"f_name": before.data["name"]}
