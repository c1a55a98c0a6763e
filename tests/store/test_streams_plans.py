"""Streams go along their indexes, on a day of which the planner knows nothing yet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL

from httpproxy.store.database import Database
from httpproxy.store.streams import stream
from httpproxy.store.streams.compaction import Compaction
from httpproxy.store.streams.places import Place, Wanted
from httpproxy.store.streams.records import RecordStream
from httpproxy.store.streams.stream import EventStream

MANY = 40_000  # so that sorting them seems cheap to a planner who believes in a hundred
FILL = """
INSERT INTO httpproxy.event (sync_id, collection_id, upstream_id, event, origin, request_id)
SELECT 'sync_' || n % 3, 'c', n::text, 'created', 'sync', 'r' FROM generate_series(1, {0}) n
"""


@pytest.fixture
async def database(database_dsn: str) -> AsyncIterator[Database]:
    with psycopg.connect(database_dsn, autocommit=True) as connection:
        connection.execute(FILL.format(MANY).encode())
    async with Database(database_dsn) as opened:
        yield opened


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The plans of what is asked, as its connection makes them."""
    found: list[str] = []
    execute = psycopg.AsyncCursor.execute

    async def explained(
        self: psycopg.AsyncCursor[Any], query: Any, *rest: Any, **options: Any
    ) -> Any:
        if not isinstance(query, str | bytes):
            cursor = self.connection.cursor()
            asked = await execute(cursor, SQL("EXPLAIN ") + query, *rest, **options)
            lines = [str(*row.values()) for row in await asked.fetchall()]
            found.append("\n".join(lines))
        return await execute(self, query, *rest, **options)

    monkeypatch.setattr(psycopg.AsyncCursor, "execute", explained)
    return found


@pytest.mark.parametrize("wanted", [Wanted(), Wanted(sync_ids=["sync_1"])], ids=["all", "one"])
async def test_events_are_not_sorted_for_each_page(
    database: Database, plans: list[str], wanted: Wanted
):
    events = EventStream(database)
    assert len((await events.after(None, wanted, 10)).events) == 10
    assert len((await events.before(None, wanted, 10)).events) == 10
    assert len(plans) == 2
    for plan in plans:
        assert "Index Scan" in plan
        assert "Sort  " not in plan
        assert "Bitmap" not in plan


@pytest.mark.parametrize("wanted", [Wanted(), Wanted(sync_ids=["sync_1"])], ids=["all", "one"])
async def test_records_are_not_sorted_for_each_page(
    database: Database, plans: list[str], wanted: Wanted
):
    assert await Compaction(database).go_on(20)
    plans.clear()
    assert len((await RecordStream(database).after(None, wanted, 10)).records) == 10
    told = [plan for plan in plans if "on record" in plan]
    assert len(told) == 1
    assert "Sort  " not in told[0]
    assert "Bitmap" not in told[0]


async def test_a_few_syncs_are_told_like_one_and_like_all(database: Database):
    assert await Compaction(database).go_on(20)
    for kind in (EventStream(database).after, RecordStream(database).after):
        many = Wanted(sync_ids=[f"sync_{n}" for n in range(stream.FEW + 1)])
        few = Wanted(sync_ids=["sync_1", "sync_2", "sync_1"])
        everything = await _told(kind, many)
        assert len(everything) == 900
        of_few = await _told(kind, few)
        ones = [await _told(kind, Wanted(sync_ids=[one])) for one in ("sync_1", "sync_2")]
        assert of_few == sorted(ones[0] + ones[1])[:900]
        assert [place for place in everything if place in of_few] == of_few[:600]


async def _told(kind: Any, wanted: Wanted) -> list[Place]:
    page = await kind(None, wanted, 900)
    return [each.place for each in getattr(page, "events", None) or page.records]
