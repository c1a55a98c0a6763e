"""Who is built from what, and opened and closed in which order.

    office <- directory, committer <- loader
           <- accounts, settlement <- writes <- gateway
           <- reading <- listening, rereading, listing, truth <- engine

`office` is the part that works on the registry alone. Whoever opens closes, in reverse.
Tasks are named and live in one task group: a loop that dies takes the process down with
it, loudly.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from httpproxy.exchange.account import Accounts
from httpproxy.exchange.live import Directory
from httpproxy.exchange.presence import Presence, process_name
from httpproxy.exchange.rediscovery import Rediscovery
from httpproxy.exchange.settle import Settlement
from httpproxy.exchange.write import Timeouts, Writes
from httpproxy.gateway.server import Doorway, Gateway, GatewayServer
from httpproxy.office import (
    Office,
    api_root,
    make_reading,
    open_office,
    request_ids,
    wall_clock,
)
from httpproxy.settings.reading import Settings
from httpproxy.store.commits.bulk import Loader
from httpproxy.store.commits.commit import Committer
from httpproxy.store.embedded.server import EmbeddedPostgres
from httpproxy.store.errors import Unavailable
from httpproxy.store.processes import Processes
from httpproxy.store.registry import Sync
from httpproxy.store.sync.owners import Owners
from httpproxy.store.sealing import Sealing
from httpproxy.sync.engine import Engine, Jobs
from httpproxy.sync.listening import Listening
from httpproxy.sync.listing import Listing
from httpproxy.sync.ownership import Ownership
from httpproxy.sync.plan import Pace
from httpproxy.sync.rereading import Rereading
from httpproxy.sync.troubles import Troubles
from httpproxy.sync.truth import Meter, Truth
from httpproxy.tasks import Tasks
from httpproxy.upstream.deadlines import Deadlines

log = logging.getLogger(__name__)

INHERIT_SECONDS: Final = 1.0
DRAIN_SECONDS: Final = 60.0  # for calls that are under way when the gateway stops


@dataclass(frozen=True)
class Service:
    """A running service. `gateway_url` is where it really listens."""

    office: Office
    directory: Directory
    committer: Committer
    gateway_url: str

    def api_root(self, sync: Sync) -> str:
        return api_root(self.gateway_url, sync)


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
        await Sealing(office.database, office.vault).require_keys()
        # Left last: what is still under way at the end is this process's until then.
        processes = Processes(office.database)
        presence = await stack.enter_async_context(
            Presence(processes, process_name(), settings.roles)
        )
        committer = await stack.enter_async_context(Committer(office.dsn))
        tasks = await stack.enter_async_context(Tasks())
        directory = Directory(office.registry, office.limiter)
        await directory.refresh()
        tasks.start(directory.keep_fresh(), "directory")
        tasks.start(presence.keep(), "presence")
        if office.embedded is not None:
            tasks.start(_inherit(office.embedded), "embedded database")
        core = _Core(
            office, committer, directory, Rediscovery(office.calls, office.registry), presence
        )
        url, engine = settings.gateway_url, None
        if "sync" in settings.roles:
            loader = await stack.enter_async_context(Loader(office.dsn, committer))
            engine = _engine(core, loader, tasks)
            tasks.start(engine.run(), "sync")
        if "gateway" in settings.roles:
            server = GatewayServer(_gateway(core, tasks), settings.max_request_bytes)
            url = await stack.enter_async_context(_listening(server, settings))
        if engine is not None:  # others go on with its syncs while the gateway drains
            stack.push_async_callback(engine.stop)
        yield Service(office, directory, committer, url)


@dataclass(frozen=True)
class _Core:
    """What gateway and sync share."""

    office: Office
    committer: Committer
    directory: Directory
    rediscovery: Rediscovery
    presence: Presence


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
            new_request_id=request_ids(),
        )
    )


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
    ownership = Ownership(Owners(office.database), core.presence)
    most = settings.sync_concurrency
    return Engine(core.directory, jobs, ownership, tasks.start, time.monotonic, most)


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
