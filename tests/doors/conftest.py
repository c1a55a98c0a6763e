"""A service per test module, with a recording upstream behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import pytest_asyncio
from neighbours.airtable_house import AirtableHouse, open_airtable
from neighbours.door import Door
from neighbours.house import House, add_sync, open_house
from neighbours.hubspot_house import HubSpotHouse, open_hubspot
from neighbours.nginx import Nginx, open_nginx
from neighbours.recorder import Recorder
from neighbours.rows import dsn_of

OpenDoor = Callable[..., AbstractAsyncContextManager[Door]]

_NUMBERS = count()
MAX_BODY = 3 * 1024 * 1024  # the table of refusals sends 4 MiB


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recorder() -> AsyncIterator[Recorder]:
    async with Recorder() as recorder:
        yield recorder


@pytest.fixture
def upstream(recorder: Recorder) -> Iterator[Recorder]:
    """The recording upstream, with nothing recorded yet."""
    recorder.forget()
    yield recorder
    recorder.forget()


@pytest.fixture(scope="module")
def module_dsn(postgres_dsn: str, template_database: str) -> Iterator[str]:
    """A fresh, migrated database for all tests of a module."""
    name = f"module_{next(_NUMBERS)}"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template_database}")
        yield dsn_of(postgres_dsn, name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(
    module_dsn: str, tmp_path_factory: pytest.TempPathFactory, recorder: Recorder
) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("house")
    async with open_house(
        module_dsn, folder, recorder.url, max_request_bytes=MAX_BODY
    ) as house:
        yield house


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(house: House) -> Door:
    """The door to an Airtable sync of base BASE."""
    return house.door(await add_sync(house, "airtable"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nginx(house: House, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Nginx]:
    """nginx with the shipped configuration, before the house's gateway."""
    port = urlsplit(house.service.gateway_url).port
    async with open_nginx(tmp_path_factory.mktemp("nginx"), port) as running:
        yield running


@pytest.fixture(scope="module", params=["alone", "behind nginx"])
def either(request: pytest.FixtureRequest, door: Door) -> Door:
    """The door to the Airtable sync: the gateway alone, then nginx before it."""
    if request.param == "alone":
        return door
    running: Nginx = request.getfixturevalue("nginx")
    return replace(door, port=running.port, tls=running.tls)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(house: House) -> Door:
    """The door to a HubSpot sync of portal 123456."""
    return house.door(await add_sync(house, "hubspot"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def airtable(
    module_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[AirtableHouse]:
    """A sandboxed base behind the gateway."""
    async with open_airtable(module_dsn, tmp_path_factory.mktemp("airtable")) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hubspot(
    module_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[HubSpotHouse]:
    """A sandboxed portal behind the gateway."""
    async with open_hubspot(module_dsn, tmp_path_factory.mktemp("hubspot")) as opened:
        yield opened


@pytest.fixture
def open_door(database_dsn: str, tmp_path: Path) -> OpenDoor:
    """Opens a service of one's own: `open_door(upstream_url, **settings)`."""

    @asynccontextmanager
    async def opened(
        upstream: str,
        *,
        allowed_requests: int = 1_000_000,
        interval: float = 1.0,
        **settings: Any,
    ) -> AsyncIterator[Door]:
        async with open_house(database_dsn, tmp_path, upstream, **settings) as house:
            rate = {"allowed_requests": allowed_requests, "interval": interval}
            yield house.door(await add_sync(house, "airtable", **rate))

    return opened
