"""The house under test: committers, registry, settlement and sync on a real Postgres.

Two processes share the database: each knows of the other's commits only what Postgres
tells it. A trigger on the users' tables keeps every row that was ever committed. Only the
API is not there: who asks it is answered by the model (`api`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from typing import Any, Final
from unittest import mock

import psycopg
from psycopg.sql import SQL, Identifier

from httpproxy.exchange.settling.overlaps import Settlement, StillOpen, Unsettled
from httpproxy.store.commits.bulk import Loader
from httpproxy.store.commits.commit import Applied, Commit, Committer
from httpproxy.store.database import Database
from httpproxy.store.registry import Registry
from httpproxy.store.secrets.vault import Vault
from httpproxy.store.sync.progress import Progress
from httpproxy.sync import rereading
from httpproxy.sync.listening import Listening
from httpproxy.sync.listing import Listing
from httpproxy.sync.plan import SweepPolicy
from httpproxy.sync.reading import Began, Reading
from httpproxy.sync.rereading import Rereading
from httpproxy.sync.troubles import JobAttempt, Resting
from httpproxy.sync.usage import Usage
from providers.record import Change, Dirty, Image
from providers.spec import Budget
from tests.model.authority import KEPT, PLAIN, VALUES, Life
from tests.model.verdicts import Row
from tests.neighbours.syncs import new_sync

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
# Taken away as they are read: numbers are drawn before their transactions commit.
_NEWS: Final = """
WITH news AS (DELETE FROM model.history RETURNING seq, id, gone, archived, a, b)
SELECT id, gone, archived, a, b FROM news ORDER BY seq"""
_OURS: Final = ("meta", "dirty", "event", "run", "seen", "feed", "progress")


@dataclass(frozen=True)
class Habits:
    """What schedules do around the product's code. The tests take it away."""

    marks_partial: bool = True  # answers that name only some fields
    starts_before: bool = True  # the clock is read before a call leaves
    lists_all: bool = False  # a listing leaves nothing out


class Api:
    """What stands for calls and provider; a schedule puts its own into `model`."""

    model: Any

    async def converse(self, _: Any, conversation: Any, priority: Any, **__: Any) -> Any:
        return await conversation(priority)

    def now(self) -> float:
        now: float = self.model.chronicle.now
        return now


class Noted(Reading):
    """A reading that tells the model what it has taken in."""

    async def take_in(self, live: Any, tables: Any, change: Change, began: Began) -> Any:
        marks = await super().take_in(live, tables, change, began)
        live.provider.taken_in(change, marks)
        return marks


class Calm:
    """Troubles that nobody expects: they go on as what they are."""

    def resting(self, *_: Any) -> Resting:
        return Resting()

    @asynccontextmanager
    async def noting(self, *_: Any) -> AsyncIterator[JobAttempt]:
        yield JobAttempt()


@dataclass(frozen=True)
class Process:
    """One process of the product's: everything by which it reads and writes."""

    committer: Committer
    settlement: Settlement
    reading: Reading
    rereading: Rereading
    listing: Listing
    listening: Listening


@dataclass
class House:
    """Everything that a schedule acts on."""

    registry: Registry
    progress: Progress
    sync: Any
    tables: Any
    api: Api
    processes: Sequence[Process]
    habits: Habits
    connection: psycopg.AsyncConnection[Any]
    images: int = 0  # that answers held
    overlaps: int = 0  # that the interval rule refused
    _requests: Any = field(default_factory=lambda: count(1))

    def live(self, model: Any) -> Any:
        """The sync as its jobs know it, with the model for its API."""
        self.api.model = model
        return SimpleNamespace(
            sync=self.sync,
            provider=model,
            tables=self.tables,
            ended=False,
            yielding=False,
            halted=False,
            fence=None,
        )

    def written(self, images: Iterable[Image], start: int, dirty: Iterable[Dirty]) -> Commit:
        """The commit of a proxied write's answer, as the gateway makes it."""
        change = Change(tuple(images), tuple(dirty))
        self.images += len(change.images)
        request_id = f"request {next(self._requests)}"
        return Commit(self.tables, change, start, self.sync.id, "proxy", request_id)

    async def settled(self, by: Process, live: Any, applied: Applied, request_id: str) -> bool:
        """Reads overlaps back, as the gateway does; False if the answer is deferred: the
        call is in doubt then, and what cannot be settled at its last look is marked."""
        if not applied.overlaps:
            return True
        self.overlaps += len(applied.overlaps)
        open_ = Unsettled(applied.overlaps, request_id)
        try:
            await by.settlement.read_back(live, self.tables, open_)
        except StillOpen:
            marks = [Dirty(i.collection, i.key, "overlapping writes") for i in open_.images]
            await self.registry.mark_dirty(live.sync, marks)
            return False
        return True

    async def news(self) -> list[tuple[str, Row | None]]:
        """What has been committed to the users' tables since the last time."""
        rows = await (await self.connection.execute(_NEWS)).fetchall()
        return [
            (row[0], None if row[1] else Row(_life(row[2]), tuple(row[3:]))) for row in rows
        ]

    async def row(self, collection: str, record_id: str) -> Row | None:
        """What a new SELECT sees."""
        archived = SQL("archived" if collection == KEPT.id else "false")
        query = SQL("SELECT {}, a, b FROM {} WHERE id = %s").format(
            archived, _table(collection)
        )
        found = await (await self.connection.execute(query, [record_id])).fetchone()
        return None if found is None else Row(_life(found[0]), tuple(found[1:]))

    async def rows(self) -> dict[str, Row]:
        """All rows of the users' tables."""
        query = SQL(
            "SELECT id, false, a, b FROM {} UNION ALL SELECT id, archived, a, b FROM {}"
        )
        named = query.format(_table(PLAIN.id), _table(KEPT.id))
        found = await (await self.connection.execute(named)).fetchall()
        return {row[0]: Row(_life(row[1]), tuple(row[2:])) for row in found}

    async def clear(self) -> None:
        """Forgets all records, and how far the sync was."""
        ours = [Identifier("httpproxy", name) for name in _OURS]
        names = [_table(PLAIN.id), _table(KEPT.id), Identifier("model", "history"), *ours]
        await self.connection.execute(SQL("TRUNCATE {}").format(SQL(", ").join(names)))


def _life(archived: bool | None) -> Life:
    return Life.ARCHIVED if archived else Life.LIVE


def _table(collection: str) -> Identifier:
    return Identifier("subject", collection)


@contextmanager
def _without_pauses() -> Iterator[None]:
    """What is written on is tried again at the schedule's pace."""
    with mock.patch.object(rereading, "WRITTEN_ON", 0.0):
        yield


async def _process(stack: AsyncExitStack, dsn: str, shared: tuple[Any, ...]) -> Process:
    registry, progress, api = shared
    committer = await stack.enter_async_context(Committer(dsn))
    loader = await stack.enter_async_context(Loader(dsn, committer))
    ids = (f"read {n}" for n in count(1))
    reading = Noted(api, committer, loader, Usage(), lambda: next(ids), api.now)
    policy = SweepPolicy(0.0, 1.0, 0)
    return Process(
        committer,
        Settlement(api, committer),
        reading,
        Rereading(reading, progress, registry, Calm()),
        Listing(reading, progress, registry, SimpleNamespace(), Calm(), policy, api.now),
        Listening(reading, progress, registry, SimpleNamespace(), Calm(), api.now, 0.0),
    )


@asynccontextmanager
async def open_house(dsn: str, habits: Habits) -> AsyncIterator[House]:
    """A house with one sync, on a migrated database of its own."""
    async with AsyncExitStack() as stack:
        stack.enter_context(_without_pauses())
        database = await stack.enter_async_context(Database(dsn))
        registry, progress, api = Registry(database, Vault(_KEY)), Progress(database), Api()
        sync = await new_sync(
            registry,
            "airtable",
            "model",
            "appX",
            schema_name="subject",
            rates=(Budget("standard", 5, 1.0),),
            collections=(PLAIN, KEPT),
        )
        connection = await stack.enter_async_context(
            await psycopg.AsyncConnection.connect(dsn, autocommit=True)
        )
        await connection.execute(_AUDIT)
        for name in (PLAIN.id, KEPT.id):
            await connection.execute(_TRIGGER.format(_table(name), name))
        shared = (registry, progress, api)
        processes = [await _process(stack, dsn, shared) for _ in range(2)]
        tables = await registry.tables(sync)
        yield House(registry, progress, sync, tables, api, processes, habits, connection)


assert VALUES == ("a", "b"), "the audit trigger names the columns"
