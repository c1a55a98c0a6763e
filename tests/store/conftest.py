"""A sync with one table of every column type, on a database of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from httpproxy.store.commits.commit import Committer
from httpproxy.store.database import Database
from httpproxy.store.registry import Registry
from httpproxy.store.secrets.vault import Vault
from tests.store.world import KEY, World, make_sync


@pytest.fixture
async def registry(database_dsn: str) -> AsyncIterator[Registry]:
    async with Database(database_dsn) as database:
        yield Registry(database, Vault(KEY))


@pytest.fixture
async def world(database_dsn: str) -> AsyncIterator[World]:
    async with Database(database_dsn) as database:
        registry = Registry(database, Vault(KEY))
        sync = await make_sync(registry)
        yield World(database_dsn, database, registry, sync, await registry.tables(sync))


@pytest.fixture
async def committer(world: World) -> AsyncIterator[Committer]:
    async with Committer(world.dsn) as committer:
        yield committer
