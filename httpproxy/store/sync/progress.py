"""How far each collection is: runs, what they saw, what is missing, how things went.

A run is a listing of one collection, from its first page to the last delete. It is in
the database page by page, so any process may go on with it after a kill:

    begin_run ──> turn_page … ──> missing ──> missing_keys … ──> end_run
        ^             │               ├── too much: hold, then the operator's `approve`
        └── drop_run <┴── the listing expired, or what it saw is lost (SeenLost)

Each step is one transaction, and each checks that the run is still the collection's:
another process, or the operator, may have begun anew (Stale), or have taken the whole
sync over (Fenced, a kind of Stale: see `owners`). Images are committed
before the page is turned: a kill between the two lists the page once more, and to
commit an image twice is harmless.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from httpproxy.store.commits.batch import mark_rows
from httpproxy.store.database import Connection, Database
from httpproxy.store.errors import Forgotten, SeenLost, Stale, StoreError
from httpproxy.store.layouts.tables import SyncTables, Table
from httpproxy.store.sync import feeds, marks
from httpproxy.store.sync.marks import SQL
from httpproxy.store.sync.states import (
    CollectionState,
    DirtyKinds,
    FeedStep,
    Marked,
    Missing,
    Run,
    RunKind,
    run_of,
    state_of,
)
from providers.body import storable_text
from providers.record import JSON, Dirty

_ERROR_CHARACTERS: Final = 2000  # of an API's own words; some answer with whole pages
_PRUNED_AT_ONCE: Final = 5000


class Progress:
    """Reads and writes how a sync stands. Raises Unavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def states(self, sync_id: str) -> list[CollectionState]:
        """How each collection stands, in the provider's order."""
        return (await self.all_states([sync_id]))[sync_id]

    async def all_states(
        self, sync_ids: Sequence[str], *, counted: bool = True
    ) -> dict[str, list[CollectionState]]:
        """The same for several syncs, by their ids, in one statement.

        Without `counted`, what would have to be counted is left at 0: rows, marks, requests.
        """
        states: dict[str, list[CollectionState]] = {sync_id: [] for sync_id in sync_ids}
        wanted = {"sync_ids": list(sync_ids), "counted": counted}
        async with self._database.transaction() as connection:
            await connection.execute(SQL["keep_to_index"])
            for row in await (await connection.execute(SQL["read_states"], wanted)).fetchall():
                states[row["sync_id"]].append(state_of(row))
        return states

    async def begin_run(
        self,
        table: Table,
        kind: RunKind,
        start: int,
        *,
        thorough: bool,
        mark: int | None,
        fence: int | None = None,
    ) -> Run:
        """A new run; an older one of the collection, and what it saw, is dropped.

        `start` is the committer's clock from before the first page was asked for; `mark`
        the collection's dirty mark that the run answers; `fence` what it is made under, as
        everything that follows. Raises Forgotten, Fenced.
        """
        parameters = {
            "number": table.number,
            "kind": kind.value,
            "start": start,
            "thorough": thorough,
            "mark": mark,
        }
        async with self._database.transaction() as connection:
            await _hold(connection, table, fence)
            await connection.execute(SQL["drop_runs"], {"numbers": [table.number]})
            cursor = await connection.execute(SQL["begin_run"], parameters)
            return replace(run_of((await cursor.fetchall())[0]), fence=fence)

    async def turn_page(
        self, table: Table, run: Run, seen: Sequence[tuple[str, ...]], after: str | None
    ) -> Run:
        """Notes what a page showed and where the next begins; None ends the listing.

        Raises Stale if the run has ended, or another process has turned this page.
        """
        records = sorted({storable_text(":".join(key)) for key in seen})
        turned = await self._rows(
            "turn_page", **_named(table, run), pages=run.pages, seen=records, after=after
        )
        if not turned:
            raise _stale(table)
        return replace(run, after=after, **turned[0])

    async def missing(self, table: Table, run: Run) -> Missing:
        """How many rows the listing did not show, of those that were there at its start.

        Raises Stale, SeenLost. A second or two for a million rows.
        """
        parameters = {**_named(table, run), "start": run.start}
        async with self._database.transaction() as connection:
            await connection.execute(SQL["join_large"])
            counts = await (
                await connection.execute(SQL["count_missing"], parameters)
            ).fetchall()
        if not counts:
            raise _stale(table)
        if counts[0]["kept"] < counts[0]["records"]:
            raise _lost(table)
        return Missing(counts[0]["missing"], counts[0]["rows"])

    async def missing_keys(
        self, table: Table, run: Run, after: tuple[str, ...] | None, limit: int
    ) -> list[tuple[str, ...]]:
        """The next keys of rows that the listing did not show, in the order of record ids.

        `after` is the last key of the chunk before. Raises Stale, SeenLost.
        """
        parameters = {
            **_named(table, run),
            "start": run.start,
            "after": ":".join(after or ()),
            "limit": limit,
        }
        async with self._database.transaction() as connection:
            await connection.execute(SQL["walk_index"])
            rows = await (await connection.execute(SQL["missing_keys"], parameters)).fetchall()
            # Asked afterwards: what is still there was there all the time.
            current = await (
                await connection.execute(SQL["current_run"], parameters)
            ).fetchone()
        if current is None:
            raise _stale(table)
        if not current["kept"]:
            raise _lost(table)
        return [key_of(table, row["record_id"]) for row in rows]

    async def end_run(self, table: Table, run: Run) -> None:
        """The run is complete: it counts as a success, and its mark is answered unless
        the collection was marked again.

        One transaction: after a kill the run is there as a whole, or done as a whole.
        Raises Stale, StoreError if the listing has not come to its end.
        """
        named = _named(table, run)
        async with self._database.transaction() as connection:
            await _hold(connection, table, run.fence)
            ended = await (await connection.execute(SQL["end_run"], named)).fetchone()
            if ended is None:
                cursor = await connection.execute(SQL["current_run"], named)
                if await cursor.fetchone() is None:
                    raise _stale(table)
                raise StoreError(f"the listing of {table.collection.name} is not at its end")
            await connection.execute(SQL["settle_whole"], {**named, "mark": run.mark})
            await connection.execute(SQL["record_listing"], {**named, **ended})
            await connection.execute(SQL["drop_seen"], named)

    async def drop_run(self, table: Table, run: Run) -> None:
        """The run is void (the listing expired, SeenLost): the next one begins anew."""
        await self._execute("drop_run", **_named(table, run))

    async def hold(self, table: Table, run: Run, missing: Missing) -> None:
        """Nothing of the run is deleted until the operator says so. Raises Stale."""
        counts = {"missing": missing.missing, "rows": missing.rows}
        if not await self._rows("hold_run", **_named(table, run), **counts):
            raise _stale(table)

    async def approve(self, sync_id: str, collection: str) -> bool:
        """The operator's word that a held run may go on; False if none is held."""
        return bool(await self._rows("approve_run", sync_id=sync_id, collection=collection))

    async def ask_resync(self, sync_id: str, collections: Sequence[str] | None) -> int:
        """Has collections (None: all) listed anew, value by value; returns how many.

        A run under way is dropped, and with it what is held. The collections are marked,
        which is what a serving process looks for.
        """
        wanted = None if collections is None else list(collections)
        parameters = {"sync_id": sync_id, "collections": wanted}
        async with self._database.transaction() as connection:
            cursor = await connection.execute(SQL["want_thorough"], parameters)
            numbers = [row["collection"] for row in await cursor.fetchall()]
            await connection.execute(SQL["drop_runs"], {"numbers": numbers})
            asked = Dirty("", None, "a resync was asked for")
            await marks.save(connection, mark_rows((number, asked) for number in numbers))
        return len(numbers)

    async def failed(
        self, sync_id: str, collections: Sequence[str], error: str, remedy: str
    ) -> None:
        """Something went wrong in these collections: the API's words, and what to do."""
        said = storable_text(error[:_ERROR_CHARACTERS])
        named = {"sync_id": sync_id, "collections": list(collections)}
        await self._execute("record_failure", **named, error=said, remedy=storable_text(remedy))

    async def succeeded(self, sync_id: str, collections: Sequence[str]) -> None:
        """Something went well in these collections: what went wrong before is over."""
        await self._execute("record_success", sync_id=sync_id, collections=list(collections))

    async def count_requests(self, counts: Mapping[tuple[int, str], int]) -> None:
        """Adds requests that were sent, by the collection's number and the class."""
        if counts:
            await self._execute(
                "count_requests",
                numbers=[number for number, _ in counts],
                classes=[name for _, name in counts],
                requests=list(counts.values()),
            )

    async def count_truth(self, table: Table, checked: int, drifted: int) -> None:
        """Adds rows that were compared with the API, and those that differed."""
        counts = {"checked": checked, "drifted": drifted}
        await self._execute("count_truth", number=table.number, **counts)

    async def feed_state(self, sync_id: str, feed: str) -> JSON:
        """Where a feed goes on; None if it has not begun."""
        async with self._database.connection() as connection:
            return await feeds.state(connection, sync_id, feed)

    async def save_feed(self, tables: SyncTables, sync_id: str, step: FeedStep) -> int:
        """What a feed told: marks and its next state, in one transaction. Returns how many
        marks were needed.

        Raises Stale if the feed has gone on from `step.before` meanwhile: nothing is kept,
        and what was heard is heard again. Raises Forgotten.
        """
        async with self._database.transaction() as connection:
            return await feeds.save(connection, tables, sync_id, step)

    async def dirty_syncs(self) -> Mapping[str, DirtyKinds]:
        """The syncs that have something to read again. Cheap, whatever their number."""
        async with self._database.connection() as connection:
            return await marks.dirty_syncs(connection)

    async def marked(
        self, tables: SyncTables, limit: int = 100, skip: Sequence[str] = ()
    ) -> Marked | None:
        """The oldest marks of records, all of one collection, of none in `skip`."""
        async with self._database.connection() as connection:
            return await marks.marked(connection, tables, limit, skip)

    async def settle(self, marked: Marked, keys: Sequence[tuple[str, ...]]) -> None:
        """Deletes the marks of keys that were read, unless they were marked again."""
        async with self._database.connection() as connection:
            await marks.settle(connection, marked, keys)

    async def prune_tombstones(self, keep_seconds: float) -> int:
        """Deletes tombstones, and news of deleted syncs, that are older than this.

        `keep_seconds` is to be longer than any answer may be under way, and than any
        process may be cut off from the database. Returns the number of tombstones.
        """
        parameters = {"keep": keep_seconds, "limit": _PRUNED_AT_ONCE}
        total, found = 0, _PRUNED_AT_ONCE
        while found == _PRUNED_AT_ONCE:
            found = await self._execute("prune_tombstones", **parameters)
            total += found
        await self._execute("prune_deleted_syncs", keep=keep_seconds)
        return total

    async def _rows(self, statement: str, **parameters: Any) -> list[dict[str, Any]]:
        async with self._database.connection() as connection:
            return await (await connection.execute(SQL[statement], parameters)).fetchall()

    async def _execute(self, statement: str, **parameters: Any) -> int:
        """Returns how many rows it was about."""
        async with self._database.connection() as connection:
            return (await connection.execute(SQL[statement], parameters)).rowcount


def key_of(table: Table, record_id: str) -> tuple[str, ...]:
    """The key that a record id was made of: only pairs have parts."""
    return tuple(record_id.split(":", len(table.collection.key) - 1))


def _named(table: Table, run: Run) -> dict[str, Any]:
    return {"number": table.number, "run": run.number, "fence": run.fence}


async def _hold(connection: Connection, table: Table, fence: int | None) -> None:
    """Holds the collection's progress, and the sync for its owner, until the end of the
    transaction."""
    named = {"number": table.number, "fence": fence}
    cursor = await connection.execute(SQL["hold_progress"], named)
    if await cursor.fetchone() is None:
        raise Forgotten(f"collection {table.collection.name} is not in the registry any more")


def _stale(table: Table) -> Stale:
    return Stale(f"another run of {table.collection.name} has begun, or this one has gone on")


def _lost(table: Table) -> SeenLost:
    return SeenLost(f"what the listing of {table.collection.name} had seen is lost")
