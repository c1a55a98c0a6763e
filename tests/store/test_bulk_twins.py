"""Random pages, loaded into one sync and committed to its twin: both end the same."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row

from httpproxy.store.commits.bulk import Loader
from httpproxy.store.commits.commit import Committer
from httpproxy.store.database import Database
from httpproxy.store.registry import Registry
from httpproxy.store.secrets.vault import Vault
from providers.record import JSON, Image, ImageKind
from tests.store.world import KEY, World, image, make_sync

MERGE, ARCHIVE = ImageKind.MERGE, ImageKind.ARCHIVE
OLD, NEW = "2024-05-01T10:00:00.000Z", "2024-05-01T10:00:00.001Z"


@dataclass
class Twins:
    """Two syncs alike in one database: one is told by commits, the other by loads."""

    runner: asyncio.Runner
    worlds: tuple[World, World]
    committer: Committer
    loader: Loader
    connection: psycopg.AsyncConnection[Any]


@pytest.fixture
def twins(database_dsn: str) -> Iterator[Twins]:
    with asyncio.Runner() as runner:
        opened = AsyncExitStack()

        async def open_() -> Twins:
            database = await opened.enter_async_context(Database(database_dsn))
            registry = Registry(database, Vault(KEY))
            worlds = []
            for name in ("committed", "loaded"):
                sync = await make_sync(registry, name)
                tables = await registry.tables(sync)
                worlds.append(World(database_dsn, database, registry, sync, tables))
            committer = await opened.enter_async_context(Committer(database_dsn))
            loader = await opened.enter_async_context(Loader(database_dsn, committer))
            connection = await opened.enter_async_context(
                await psycopg.AsyncConnection.connect(
                    database_dsn, autocommit=True, row_factory=dict_row
                )
            )
            return Twins(runner, (worlds[0], worlds[1]), committer, loader, connection)

        yield runner.run(open_())
        runner.run(opened.aclose())


TEXTS = st.text(max_size=8)
ODD = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
FITTING = {
    "archived": st.sampled_from([None, False, False, True]),
    "name": st.none() | TEXTS,
    "amount": st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.just("1.50"),
    "done": st.none() | st.booleans(),
    "due": st.sampled_from([None, "2024-02-29"]),
    "seen": st.sampled_from([None, "2024-05-01T10:00:00.5+02:00"]),
    "tags": st.none() | st.lists(TEXTS, max_size=3),
    "blob": ODD | st.lists(ODD, max_size=2) | st.dictionaries(TEXTS, ODD, max_size=2),
}
# One value that no column takes sends the page to the committer: they are rare.
VALUES = st.integers(0, 15).flatmap(
    lambda n: (
        st.fixed_dictionaries({}, optional={**FITTING, "unknown": st.just(1)})
        if n
        else st.fixed_dictionaries({}, optional=dict.fromkeys(FITTING, ODD))
    )
)
FULL = dict.fromkeys(("archived", "name", "amount", "done", "due", "seen", "tags", "blob"))
KINDS = [ImageKind.REPLACE] * 5 + [MERGE, ARCHIVE, ImageKind.DELETE]


def made(n: int, kind: ImageKind, values: dict[str, JSON], **how: Any) -> Image:
    """An image; if `full`, of the shape that a provider's usually has."""
    full = how.pop("full")
    one = image(f"rec{n}", kind, **how, **((FULL if full else {}) | values))
    return replace(one, values={**one.values, "$id": f"rec{n}"}) if full else one


IMAGES = st.builds(
    made,
    st.integers(0, 12),
    st.sampled_from(KINDS),
    VALUES,
    full=st.booleans(),
    extra=st.just({}) | st.dictionaries(st.sampled_from(["Odd", "Other"]), ODD, max_size=2),
    updated_at=st.sampled_from([None, OLD, NEW]),
)
# A page, and how many pages before it was asked for.
PAGES = st.lists(
    st.tuples(
        st.lists(IMAGES, max_size=12, unique_by=lambda i: i.key)
        | st.lists(IMAGES, max_size=12),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=5,
)

# All that a sync's collections hold, as one value; `{table}` is the tasks'.
STORED = """
    WITH ours AS (SELECT id FROM httpproxy.collection WHERE sync_id = %(sync)s)
    SELECT
        (SELECT jsonb_agg(to_jsonb(t) - '_sync_inserted_at' - '_sync_updated_at' ORDER BY id)
            FROM {table} t) AS rows,
        (SELECT jsonb_agg(jsonb_build_array(record_id, updated_at, deleted, partial)
            ORDER BY record_id) FROM httpproxy.meta WHERE collection IN (TABLE ours)) AS meta,
        (SELECT jsonb_agg(jsonb_build_array(upstream_id, event, upstream_updated_at, data,
            origin, collection_id) ORDER BY upstream_id, seq)
            FROM httpproxy.event WHERE sync_id = %(sync)s) AS events,
        (SELECT jsonb_agg(jsonb_build_array(record_id, reason) ORDER BY record_id)
            FROM httpproxy.dirty WHERE collection IN (TABLE ours)) AS dirty"""
EMPTY = "TRUNCATE httpproxy.meta, httpproxy.event, httpproxy.dirty, {tables}"


async def run_pages(twins: Twins, pages: list[tuple[list[Image], int]]) -> None:
    """The same pages by commits and by loads; each asked for a page or two ago."""
    tables = ", ".join(world.table for world in twins.worlds)
    await twins.connection.execute(EMPTY.format(tables=tables).encode())
    found = []
    for world, commit in zip(
        twins.worlds, (twins.committer.commit, twins.loader.load), strict=True
    ):
        starts: list[int] = []
        told = []
        for images, back in pages:
            starts.append(twins.committer.clock())
            start = starts[max(len(starts) - 1 - back, 0)]
            applied = await commit(world.commit(*images, start=start, origin="sync"))
            told.append((applied.rows, sorted(map(repr, applied.overlaps))))
        query = STORED.format(table=world.table).encode()
        cursor = await twins.connection.execute(query, {"sync": world.sync.id})
        found.append((told, await cursor.fetchone()))
    assert found[1] == found[0]


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(pages=PAGES)
def test_whatever_pages_say_a_load_does_what_a_commit_does(
    pages: list[tuple[list[Image], int]], twins: Twins
) -> None:
    twins.runner.run(run_pages(twins, pages))
