"""Our side of the backfill: pages as bytes in, committed rows out, in a process of its own.

What a listing does between the answer's bytes and the commit: the provider's `list_page`
reads them, `Loader.load` commits them, with meta rows and events.

    python -m tests.benchmarks.loading '{"dsn", "name"}'

An order is {"first", "pages", "listings", "meanwhile"}; the answer {"seconds", "peak"}, the
process's greatest resident bytes so far. `listings` go on at once, each page by page.
`meanwhile`: pages are made while others are loaded, and not before the clock starts.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from collections.abc import Iterator
from typing import Any, Final

from httpproxy.store.commits.bulk import Loader
from httpproxy.store.commits.commit import Applied, Commit, Committer
from httpproxy.store.layouts.tables import SyncTables
from providers.airtable.provider import AIRTABLE
from providers.http import Response
from providers.record import Change, Collection
from tests.benchmarks import gateway, record
from tests.benchmarks.child import orders, run, say
from tests.benchmarks.processes import Failed

_KIBIBYTE: Final = 1024  # the unit of ru_maxrss on Linux


def read(collection: Collection, body: bytes) -> Change:
    """What the provider makes of a page's bytes."""
    listing = AIRTABLE.list_page(collection, None, True)
    next(listing)
    try:
        listing.send(Response(200, body=body))
    except StopIteration as done:
        change: Change = done.value.change
        return change
    raise Failed("a page took more than one call")


async def load(
    loader: Loader, tables: SyncTables, sync_id: str, pages: Iterator[bytes]
) -> None:
    """Lists a collection as the sync does: a page is read while the one before is loaded."""
    (table,) = tables.tables.values()
    async with asyncio.TaskGroup() as tasks:
        before: asyncio.Task[Applied] | None = None
        for body in pages:
            commit = Commit(tables, read(table.collection, body), 0, sync_id, "sync", "-", 0.0)
            await _taken(before)
            before = tasks.create_task(loader.load(commit))
            await asyncio.sleep(0)  # it has begun when the next page is read
        await _taken(before)


async def _taken(load: asyncio.Task[Applied] | None) -> None:
    if load is not None and (applied := await load).rows != record.PAGE:
        raise Failed(f"{applied.rows} of a page's records were taken")


async def serve(dsn: str, name: str) -> None:
    """Takes orders until the parent is gone."""
    async with gateway.registry(dsn) as registry:
        sync = next(sync for sync in await registry.syncs() if sync.name == name)
        tables = await registry.tables(sync)
    loop = asyncio.get_running_loop()
    async with Committer(dsn) as committer, Loader(dsn, committer) as loader:
        async for order in orders():
            numbers = range(order["first"], order["first"] + order["pages"])
            made: Any = map(record.page, numbers)
            pages = iter(made if order["meanwhile"] else list(made))
            began = loop.time()
            async with asyncio.TaskGroup() as tasks:
                for _ in range(order["listings"]):
                    tasks.create_task(load(loader, tables, sync.id, pages))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIBIBYTE
            say({"seconds": loop.time() - began, "peak": peak})


if __name__ == "__main__":
    run(serve(**json.loads(sys.argv[1])))
