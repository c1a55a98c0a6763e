"""A sync at whatever point a test wants it, set through the store as the sync itself does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from httpproxy.store.commits.commit import Commit, Committer
from httpproxy.store.database import Database
from httpproxy.store.layouts.tables import Table
from httpproxy.store.registry import Registry, Sync
from httpproxy.store.secrets.vault import Vault
from httpproxy.store.sync.progress import Progress
from httpproxy.store.sync.states import CollectionState, FeedStep, Missing, Run, RunKind
from providers.record import Change, Dirty
from tests.store.world import KEY, TASKS, image, make_sync


@dataclass
class Stage:
    """A sync with the table `tasks`, and what the sync would do to it."""

    registry: Registry
    progress: Progress
    committer: Committer
    sync: Sync
    table: Table
    run: Run | None = None

    async def begin(self, kind: RunKind = RunKind.BACKFILL, *, thorough: bool = True) -> None:
        start = self.committer.clock()
        self.run = await self.progress.begin_run(
            self.table, kind, start, thorough=thorough, mark=None
        )

    async def turn(self, *records: str, last: bool = False) -> None:
        """A page of a listing with these records."""
        assert self.run is not None
        tables = await self.registry.tables(self.sync)
        images = tuple(image(record, name=record) for record in records)
        change = Change(images)
        await self.committer.commit(
            Commit(tables, change, self.committer.clock(), self.sync.id, "sync", "a page")
        )
        seen = [(record,) for record in records]
        self.run = await self.progress.turn_page(
            self.table, self.run, seen, None if last else f"after {records[-1:]}"
        )

    async def end(self) -> None:
        assert self.run is not None
        await self.progress.end_run(self.table, self.run)
        await self.progress.succeeded(self.sync.id, [TASKS.id])  # as the sync does then

    async def fill(self, *records: str) -> None:
        """A complete backfill of these records, heard and successful."""
        await self.begin()
        await self.turn(*records, last=True)
        await self.end()
        await self.hear()

    async def hear(self, *marks: Dirty) -> None:
        """The collection's feed was heard."""
        tables = await self.registry.tables(self.sync)
        before = await self.progress.feed_state(self.sync.id, "feed")
        step = FeedStep("feed", before, {"at": 1}, (TASKS.id,), marks)
        await self.progress.save_feed(tables, self.sync.id, step)

    async def hold(self, missing: int, rows: int) -> None:
        """A sweep that has come to its end, and lacks too much."""
        await self.begin(RunKind.SWEEP, thorough=False)
        await self.turn(last=True)
        assert self.run is not None
        await self.progress.hold(self.table, self.run, Missing(missing, rows))

    async def fail(self, error: str, remedy: str) -> None:
        await self.progress.failed(self.sync.id, [TASKS.id], error, remedy)

    async def state(self) -> CollectionState:
        return (await self.progress.states(self.sync.id))[0]


@asynccontextmanager
async def open_stage(dsn: str, name: str = "crm") -> AsyncIterator[Stage]:
    """The sync of this name, made if there is none."""
    async with Database(dsn, connections=2) as database, Committer(dsn) as committer:
        registry = Registry(database, Vault(KEY))
        sync = await registry.sync(name) or await make_sync(registry, name, (TASKS,))
        table = (await registry.tables(sync)).tables[TASKS.id]
        yield Stage(registry, Progress(database), committer, sync, table)


def act(dsn: str, work: Callable[[Stage], Awaitable[object]], name: str = "crm") -> None:
    """Does something on the stage, from a test that is no coroutine."""

    async def done() -> None:
        async with open_stage(dsn, name) as stage:
            await work(stage)

    asyncio.run(done())


def state_of(dsn: str, name: str = "crm") -> CollectionState:
    """How the collection of the sync stands."""
    found: list[CollectionState] = []

    async def look(stage: Stage) -> None:
        found.append(await stage.state())

    act(dsn, look, name)
    return found[0]
