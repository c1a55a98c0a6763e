"""Who is built from what, and opened and closed in which order.

    database <- registry <- directory
             <- progress, committer <- loader
    client, limiter <- calls <- accounts, settlement <- writes <- gateway
                             <- reading <- listening, rereading, listing, truth <- engine

`open_service` is all of it; `open_office` is the part that the command line needs to
work on the registry while nothing is served. Whoever opens closes, in reverse. Tasks
are named and live in one task group: a loop that dies takes the process down with it,
loudly.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final

from aiohttp import web

from httpproxy.exchange.account import Accounts
from httpproxy.exchange.calls import Calls
from httpproxy.exchange.live import Directory
from httpproxy.exchange.rediscovery import Rediscovery
from httpproxy.exchange.settle import Settlement
from httpproxy.exchange.write import Timeouts, Writes
from httpproxy.gateway.server import Doorway, Gateway, GatewayServer
from httpproxy.settings.reading import Settings
from httpproxy.store.commits.bulk import Loader
from httpproxy.store.commits.commit import Committer
from httpproxy.store.database import Database
from httpproxy.store.embedded.server import EmbeddedPostgres
from httpproxy.store.errors import Unavailable
from httpproxy.store.registry import Registry, Sync
from httpproxy.store.sync.comparing import Comparing
from httpproxy.store.sync.progress import Progress
from httpproxy.store.vault import Vault
from httpproxy.sync.engine import Engine, Jobs
from httpproxy.sync.listening import Listening
from httpproxy.sync.listing import Listing
from httpproxy.sync.plan import Pace
from httpproxy.sync.reading import Reading
from httpproxy.sync.rereading import Rereading
from httpproxy.sync.troubles import Troubles
from httpproxy.sync.truth import Meter, Truth
from httpproxy.sync.usage import Usage
from httpproxy.tasks import Tasks
from httpproxy.upstream.client import UpstreamClient
from httpproxy.upstream.deadlines import Deadlines
from httpproxy.upstream.limiter import Limiter
from providers.catalog import PROVIDERS

log = logging.getLogger(__name__)

INHERIT_SECONDS: Final = 1.0
DRAIN_SECONDS: Final = 60.0  # for calls that are under way when the gateway stops


@dataclass(frozen=True)
class Office:
    """What works on the registry: the command line, and the service itself."""

    settings: Settings
    embedded: EmbeddedPostgres | None
    dsn: str
    vault: Vault
    registry: Registry
    progress: Progress
    comparing: Comparing
    client: UpstreamClient
    limiter: Limiter
    calls: Calls


@dataclass(frozen=True)
class Service:
    """A running service. `gateway_url` is where it really listens."""

    office: Office
    directory: Directory
    committer: Committer
    gateway_url: str

    def api_root(self, sync: Sync) -> str:
        return api_root(self.gateway_url, sync)


def api_root(gateway_url: str, sync: Sync) -> str:
    """What a client prepends to the API's path: the gateway, the unique id, the host."""
    return f"{gateway_url}/{sync.unique_id}/{PROVIDERS[sync.provider].hosts[0]}"


@asynccontextmanager
async def open_office(settings: Settings) -> AsyncIterator[Office]:
    """Opens the database (embedded if none is set), the registry and our own calls."""
    async with AsyncExitStack() as stack:
        embedded = await stack.enter_async_context(_embedded(settings))
        dsn = _dsn(settings, embedded)
        database = await stack.enter_async_context(Database(dsn))
        key = settings.secret_key
        vault = Vault(key.get_secret_value()) if key else Vault.of_file(settings.data_dir)
        registry = Registry(database, vault)
        client = await stack.enter_async_context(
            UpstreamClient(
                origins=settings.upstreams,
                connect_timeout=settings.connect_timeout,
                timeout=settings.upstream_timeout,
                max_response_bytes=settings.max_response_bytes,
                max_connections=settings.max_connections,
                ca_file=settings.upstream_ca_file,
            )
        )
        limiter = Limiter()
        stack.callback(limiter.close)
        calls = Calls(client, limiter, registry, wall_clock)
        yield Office(
            settings=settings,
            embedded=embedded,
            dsn=dsn,
            vault=vault,
            registry=registry,
            progress=Progress(database),
            comparing=Comparing(database),
            client=client,
            limiter=limiter,
            calls=calls,
        )


@asynccontextmanager
async def _embedded(settings: Settings) -> AsyncIterator[EmbeddedPostgres | None]:
    """The embedded Postgres, started or joined; None if the settings name a database."""
    if settings.database_url is not None:
        yield None
        return
    server = EmbeddedPostgres(settings.data_dir)
    await asyncio.to_thread(server.start)
    try:
        yield server
    finally:
        await asyncio.to_thread(server.stop)


@asynccontextmanager
async def database_dsn(settings: Settings) -> AsyncIterator[str]:
    """The DSN of the settings, or that of an embedded Postgres, started if it must be."""
    async with _embedded(settings) as server:
        yield _dsn(settings, server)


def _dsn(settings: Settings, server: EmbeddedPostgres | None) -> str:
    if server is not None:
        return server.dsn
    return settings.database_url.get_secret_value() if settings.database_url else ""


async def _inherit(server: EmbeddedPostgres) -> None:
    """Takes the embedded server over when the process that started it ends.

    A short command may have started it a moment before us. The server comes back on its
    port; if that is taken meanwhile, nobody could find it, and we end loudly.
    """
    joined = server.dsn
    while not await asyncio.to_thread(server.inherit):  # noqa: ASYNC110 - a file's lock
        await asyncio.sleep(INHERIT_SECONDS)
    if server.dsn != joined:
        raise Unavailable("the embedded database had to move to another port: start again")


@asynccontextmanager
async def open_service(settings: Settings) -> AsyncIterator[Service]:
    """Opens everything and listens. On leaving, calls that are under way are finished."""
    async with AsyncExitStack() as stack:
        office = await stack.enter_async_context(open_office(settings))
        committer = await stack.enter_async_context(Committer(office.dsn))
        tasks = await stack.enter_async_context(Tasks())
        directory = Directory(office.registry, office.limiter)
        await directory.refresh()
        tasks.start(directory.keep_fresh(), "directory")
        if office.embedded is not None:
            tasks.start(_inherit(office.embedded), "embedded database")
        core = _Core(office, committer, directory, Rediscovery(office.calls, office.registry))
        url = settings.gateway_url
        if "sync" in settings.roles:
            loader = await stack.enter_async_context(Loader(office.dsn, committer))
            tasks.start(_engine(core, loader, tasks).run(), "sync")
        if "gateway" in settings.roles:
            server = GatewayServer(_gateway(core, tasks), settings.max_request_bytes)
            url = await stack.enter_async_context(_listening(server, settings))
        yield Service(office, directory, committer, url)


@dataclass(frozen=True)
class _Core:
    """What gateway and sync share."""

    office: Office
    committer: Committer
    directory: Directory
    rediscovery: Rediscovery


def _gateway(core: _Core, tasks: Tasks) -> Gateway:
    office, committer, settings = core.office, core.committer, core.office.settings
    writes = Writes(
        client=office.client,
        committer=committer,
        registry=office.registry,
        settlement=Settlement(office.calls, committer, office.registry),
        rediscovery=core.rediscovery,
        timeouts=Timeouts(settings.permit_timeout, Deadlines(settings.commit_timeout)),
        spawn=tasks.start,
        wall_clock=wall_clock,
    )
    accounts = Accounts(office.calls, office.vault.fingerprint, time.monotonic)
    return Gateway(
        Doorway(
            directory=core.directory,
            accounts=accounts,
            writes=writes,
            pseudonym=settings.pseudonym,
            max_body=settings.max_request_bytes,
            new_request_id=_request_ids(),
        )
    )


def make_reading(office: Office, committer: Committer, loader: Loader) -> Reading:
    """Our own reads, committed through these; the caller keeps its usage."""
    return Reading(office.calls, committer, loader, Usage(), _request_ids(), wall_clock)


def _engine(core: _Core, loader: Loader, tasks: Tasks) -> Engine:
    office, settings = core.office, core.office.settings
    reading = make_reading(office, core.committer, loader)
    troubles = Troubles(office.progress, time.monotonic)
    shared = (reading, office.progress, office.registry)
    pace = Pace(
        settings.sweep_interval, settings.mass_delete_share, settings.mass_delete_minimum
    )
    jobs = Jobs(
        registry=office.registry,
        progress=office.progress,
        listening=Listening(
            *shared, core.rediscovery, troubles, wall_clock, settings.sync_interval
        ),
        rereading=Rereading(*shared, troubles),
        listing=Listing(*shared, core.rediscovery, troubles, pace, wall_clock),
        rediscovery=core.rediscovery,
        meter=Meter(
            Truth(reading, office.comparing, office.registry),
            office.progress,
            troubles,
            sample=settings.verify_sample,
            interval=settings.verify_interval,
            suspicion=2 * settings.sync_interval,
            pick=secrets.choice,
        ),
        troubles=troubles,
        usage=reading.usage,
        discovery_interval=settings.discovery_interval,
    )
    return Engine(core.directory, jobs, tasks.start, time.monotonic, settings.sync_concurrency)


def wall_clock() -> float:
    """Seconds since the epoch; handed in here, an argument everywhere else."""
    return time.time_ns() / 1e9


def _request_ids() -> Callable[[], str]:
    """Ids that are unique over processes and cost nothing: a random start, then a count."""
    start, numbers = secrets.token_hex(6), count(1)
    return lambda: f"{start}-{next(numbers):x}"


@asynccontextmanager
async def _listening(server: GatewayServer, settings: Settings) -> AsyncIterator[str]:
    runner = web.ServerRunner(server, shutdown_timeout=DRAIN_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.gateway_host, settings.gateway_port, backlog=1024)
        await site.start()
        port = runner.addresses[0][1]
        yield settings.model_copy(update={"gateway_port": port}).gateway_url
    finally:
        await runner.cleanup()
