"""The house under test: the real committers, registry and settlement on a real Postgres.

Two committers stand for two processes: each knows of the other's commits only what the
database tells it. A trigger on the users' tables keeps every row that was ever committed.
What would call an API reads from the records of the model instead.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from typing import Any, Final

import psycopg
from psycopg.sql import SQL, Identifier

from httpproxy.exchange.settle import Settlement, StillOpen, Unsettled
from httpproxy.store.commit import Applied, Commit, Committer
from httpproxy.store.database import Database
from httpproxy.store.registry import Registry
from httpproxy.store.vault import Vault
from providers.record import Change, Dirty, Image
from providers.spec import Budget
from tests.model.authority import KEPT, PLAIN, VALUES, Life
from tests.model.verdicts import Row

_KEY: Final = "a key of tests, never a secret: 0123456789"
_AUDIT: Final = """
CREATE SCHEMA model;
CREATE UNLOGGED TABLE model.history (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL, gone boolean NOT NULL, archived boolean, a text, b text);
CREATE FUNCTION model.keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO model.history (id, gone) VALUES (OLD.id, true);
    ELSIF TG_ARGV[0] = 'kept' THEN
        INSERT INTO model.history (id, gone, archived, a, b)
        VALUES (NEW.id, false, NEW.archived, NEW.a, NEW.b);
    ELSE
        INSERT INTO model.history (id, gone, a, b) VALUES (NEW.id, false, NEW.a, NEW.b);
    END IF;
    RETURN NULL;
END $$;
"""
_TRIGGER: Final = SQL(
    "CREATE TRIGGER keep AFTER INSERT OR UPDATE OR DELETE ON {}"
    " FOR EACH ROW EXECUTE FUNCTION model.keep({})"
)
_NEWS: Final = (
    "SELECT seq, id, gone, archived, a, b FROM model.history WHERE seq > %s ORDER BY seq"
)
_MARKED: Final = """
SELECT d.key, d.mark FROM httpproxy.dirty d
WHERE d.collection = %s AND d.record_id <> '' ORDER BY d.mark LIMIT %s"""
_SETTLE: Final = """
DELETE FROM httpproxy.dirty d USING unnest(%s::text[], %s::bigint[]) AS g(record_id, mark)
WHERE d.collection = %s AND d.record_id = g.record_id AND d.mark = g.mark"""
_MISSING: Final = """
SELECT record_id FROM httpproxy.meta
WHERE collection = %s AND NOT deleted AND end_seq <= %s AND record_id <> ALL(%s)
ORDER BY record_id"""


@dataclass(frozen=True)
class Habits:
    """What the sync and the gateway do around a commit. The tests take them away."""

    reads_back: bool = True  # what a proxied write overlaps, before it is answered
    marks_overlaps: bool = True  # of what the sync read
    marks_partial: bool = True  # answers that name only some fields
    starts_before: bool = True  # the clock is read before a call leaves
    fences_sweeps: bool = True  # rows that were committed after a listing began are kept
    confirms_sweeps: bool = True  # missing records are read before they are deleted
    settles_by_number: bool = True  # a mark that was made again stays
    lists_all: bool = False  # a listing leaves nothing out


@dataclass
class House:
    """Everything that a schedule acts on."""

    dsn: str
    database: Database
    registry: Registry
    sync: Any
    tables: Any
    committers: Sequence[Committer]
    habits: Habits
    connection: psycopg.AsyncConnection[Any]
    images: int = 0  # that were committed
    overlaps: int = 0  # that the interval rule refused
    _seen: int = 0
    _requests: Any = field(default_factory=lambda: count(1))

    def commit(self, images: Iterable[Image], start: int, origin: str, dirty=()) -> Commit:
        change = Change(tuple(images), tuple(dirty))
        self.images += len(change.images)
        return Commit(
            self.tables, change, start, self.sync.id, origin, f"r{next(self._requests)}"
        )

    async def news(self) -> list[tuple[str, Row | None]]:
        """What has been committed to the users' tables since the last time."""
        rows = await (await self.connection.execute(_NEWS, [self._seen])).fetchall()
        if rows:
            self._seen = rows[-1][0]
        return [
            (row[1], None if row[2] else Row(_life(row[3]), tuple(row[4:]))) for row in rows
        ]

    async def row(self, collection: str, record_id: str) -> Row | None:
        """What a new SELECT sees."""
        table = self._table(collection)
        archived = SQL("archived" if collection == KEPT.id else "false")
        query = SQL("SELECT {}, a, b FROM {} WHERE id = %s").format(archived, table)
        found = await (await self.connection.execute(query, [record_id])).fetchone()
        return None if found is None else Row(_life(found[0]), tuple(found[1:]))

    async def rows(self) -> dict[str, Row]:
        """All rows of the users' tables."""
        query = SQL(
            "SELECT id, false, a, b FROM {} UNION ALL SELECT id, archived, a, b FROM {}"
        )
        named = query.format(self._table(PLAIN.id), self._table(KEPT.id))
        found = await (await self.connection.execute(named)).fetchall()
        return {row[0]: Row(_life(row[1]), tuple(row[2:])) for row in found}

    async def mark(self, images: Sequence[Image], why: str = "overlapping answers") -> None:
        """Remembers records to be read again."""
        self.overlaps += len(images)
        marks = [Dirty(image.collection, image.key, why) for image in images]
        await self.registry.mark_dirty(self.sync, marks)

    async def marked(self, collection: str, limit: int) -> list[tuple[str, int]]:
        """Record ids that are to be read again, and the numbers of their marks."""
        parameters = [self.number(collection), limit]
        rows = await (await self.connection.execute(_MARKED, parameters)).fetchall()
        return [(row[0][0], row[1]) for row in rows]

    async def settle(self, collection: str, marks: Iterable[tuple[str, int]]) -> None:
        """Forgets marks of records that were read, unless they were made again."""
        ids, numbers = [m[0] for m in marks], [m[1] for m in marks]
        if not self.habits.settles_by_number:
            again = dict(await self.marked(collection, 10_000))
            numbers = [again.get(i, n) for i, n in zip(ids, numbers, strict=True)]
        await self.connection.execute(_SETTLE, [ids, numbers, self.number(collection)])

    async def missing(self, collection: str, start: int, seen: list[str]) -> list[str]:
        """Records that a listing did not show and that were committed before it began."""
        fence = start if self.habits.fences_sweeps else 2**62
        parameters = [self.number(collection), fence, seen]
        rows = await (await self.connection.execute(_MISSING, parameters)).fetchall()
        return [row[0] for row in rows]

    async def clear(self) -> None:
        """Forgets all records."""
        names = [self._table(PLAIN.id), self._table(KEPT.id)]
        rest = SQL("httpproxy.meta, httpproxy.dirty, httpproxy.event, model.history")
        await self.connection.execute(SQL("TRUNCATE {}, {}, {}").format(*names, rest))

    def number(self, collection: str) -> int:
        number: int = self.tables.tables[collection].number
        return number

    def _table(self, collection: str) -> Identifier:
        table = self.tables.tables[collection]
        return Identifier(table.schema_name, table.name)


def _life(archived: bool | None) -> Life:
    return Life.ARCHIVED if archived else Life.LIVE


class ReadBack:
    """`exchange.settle` with the model's records in the place of the API.

    `read` is told collection and keys, stops wherever the schedule wants, and returns
    the images.
    """

    def __init__(self, house: House, committer: Committer, read: Callable[..., Any]) -> None:
        self._house = house
        self._settlement = Settlement(_Calls(read), committer, house.registry)
        provider = SimpleNamespace(read_records=lambda collection, keys: (collection, keys))
        self._live = SimpleNamespace(sync=house.sync, provider=provider, tables=house.tables)

    async def settled(self, applied: Applied, request_id: str) -> bool:
        """Reads overlaps again, as the gateway does; False if the answer is deferred."""
        self._house.overlaps += len(applied.overlaps)
        if not applied.overlaps or not self._house.habits.reads_back:
            return True
        open_ = Unsettled(applied.overlaps, request_id, "overlapping writes")
        try:
            await self._settlement.read_back(self._live, self._house.tables, open_)
        except StillOpen:
            await self._settlement.mark_dirty(self._live, open_)
            return False
        return True


class _Calls:
    def __init__(self, read: Callable[..., Any]) -> None:
        self._read = read

    async def converse(self, live: Any, asked: Any, *_: Any, **__: Any) -> Any:
        collection, keys = asked
        return await self._read(collection.id, keys)


@asynccontextmanager
async def open_house(dsn: str, habits: Habits) -> AsyncIterator[House]:
    """A house with one sync, on a migrated database of its own."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database(dsn))
        registry = Registry(database, Vault(_KEY))
        sync = await registry.create_sync(
            provider="airtable",
            name="model",
            account="appX",
            schema_name="subject",
            credential_kind="airtable_token",
            secret="patX.secret",
            rates=(Budget("standard", 5, 1.0),),
            collections=(PLAIN, KEPT),
        )
        connection = await stack.enter_async_context(
            await psycopg.AsyncConnection.connect(dsn, autocommit=True)
        )
        await connection.execute(_AUDIT)
        for name in (PLAIN.id, KEPT.id):
            trigger = _TRIGGER.format(Identifier("subject", name), name)
            await connection.execute(trigger)
        committers = [await stack.enter_async_context(Committer(dsn)) for _ in range(2)]
        tables = await registry.tables(sync)
        yield House(dsn, database, registry, sync, tables, committers, habits, connection)


assert VALUES == ("a", "b"), "the audit trigger names the columns"
