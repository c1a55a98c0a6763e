"""What is opened and closed in which order.

Whoever opens closes, in reverse. Tasks are named and live in one task group: a loop that
dies takes the process down with it, loudly. Who is built from what says `assembly`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from httpproxy.api.house import House
from httpproxy.api.readiness import Readiness
from httpproxy.api.siblings import Siblings
from httpproxy.assembly import (
    Core,
    limits_of,
    make_carrying,
    make_doubts,
    make_engine,
    make_gateway,
    make_house,
)
from httpproxy.exchange.directory.syncs import Directory
from httpproxy.exchange.schema.rediscovery import Rediscovery
from httpproxy.exchange.settling.overlaps import Settlement
from httpproxy.gateway.connection import GatewayServer
from httpproxy.office import Office, api_root, open_office
from httpproxy.outside import Inside, open_outside, readiness_of, replicas_of, watching
from httpproxy.settings.reading import Settings
from httpproxy.sharing.leasing import Leasing
from httpproxy.sharing.presence import Presence, process_name
from httpproxy.sockets import Handed, accepting, listen, port_of
from httpproxy.store.commits.bulk import Loader
from httpproxy.store.commits.commit import Committer
from httpproxy.store.embedded.server import EmbeddedPostgres
from httpproxy.store.errors import Unavailable
from httpproxy.store.intents.book import Intents
from httpproxy.store.registry import Sync
from httpproxy.store.secrets.keys import Keys
from httpproxy.store.secrets.sealing import Sealing
from httpproxy.store.sharing.permits import Permits
from httpproxy.store.sharing.processes import Processes
from httpproxy.store.streams.retention import Retention
from httpproxy.tasks import Tasks
from httpproxy.telemetry.watch import Watch

log = logging.getLogger(__name__)

INHERIT_SECONDS: Final = 1.0
DRAIN_SECONDS: Final = 60.0  # for calls that are under way when the gateway stops


@dataclass(frozen=True)
class Service:
    """A running service. `gateway_url` is where it really listens, and `api_url`, if it
    has that role, where it is looked at. `house` is what works behind that door, which
    needs no door."""

    office: Office
    directory: Directory
    committer: Committer
    watch: Watch
    readiness: Readiness
    gateway_url: str
    api_url: str | None
    house: House

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
async def open_service(
    settings: Settings, handed: Handed | None = None
) -> AsyncIterator[Service]:
    """Opens everything and listens, on its own sockets where none were handed in. On
    leaving, calls that are under way are finished."""
    async with AsyncExitStack() as stack:
        watch = await stack.enter_async_context(watching(settings))
        office = await stack.enter_async_context(open_office(settings, watch.tally))
        await Sealing(office.database, office.vault).require_keys()
        # Left last: what is still under way at the end is this process's until then.
        presence = await stack.enter_async_context(
            Presence(Processes(office.database), process_name(), settings.roles)
        )
        beyond = settings.on_database_down == "forward"
        leasing = Leasing(Permits(office.database), office.limiter, presence, beyond=beyond)
        stack.push_async_callback(leasing.leave)
        committer = await stack.enter_async_context(Committer(office.dsn))
        intents = await stack.enter_async_context(Intents(office.dsn, lambda: presence.number))
        tasks = await stack.enter_async_context(Tasks())
        core = Core(
            office=office,
            committer=committer,
            directory=Directory(office.registry, office.limiter),
            rediscovery=Rediscovery(office.conversations, office.registry),
            presence=presence,
            leasing=leasing,
            intents=intents,
            settlement=Settlement(office.conversations, committer),
            watch=watch,
            keys=Keys(office.database, time.monotonic),
            spawn=tasks.start,
        )
        tasks.start(presence.keep(), "presence")
        tasks.start(leasing.keep(), "permits")  # before anybody calls: they wait for it
        await core.directory.refresh()
        tasks.start(core.directory.keep_fresh(), "directory")
        tasks.start(make_doubts(core).keep(), "doubts")
        retention = Retention(office.database, settings.event_retention_days)
        tasks.start(retention.keep(), "event retention")
        office.tokens.spawn = tasks.start
        tasks.start(office.tokens.keep(), "tokens")
        stack.push_async_callback(office.tokens.settled)
        if office.embedded is not None:
            tasks.start(_inherit(office.embedded), "embedded database")
        yield await stack.enter_async_context(_serving(core, handed or Handed()))


@asynccontextmanager
async def _serving(core: Core, handed: Handed) -> AsyncIterator[Service]:
    """Runs the roles of this process."""
    settings, roles = core.office.settings, core.office.settings.roles
    carrying = make_carrying(core)
    async with AsyncExitStack() as stack:
        replicas = await stack.enter_async_context(replicas_of(settings))
        inside = Inside(
            core.office,
            make_house(core, carrying, replicas),
            core.keys,
            core.watch,
            core.presence,
            core.committer,
            core.intents,
            core.leasing,
            siblings=Siblings(handed.folder, handed.worker),
        )
        readiness = readiness_of(inside)
        url, api_url, engine = settings.gateway_url, None, None
        if "api" in roles:  # before the gateway, and so until after it
            sock = next(iter(handed.sockets.get("api", ())), None)
            api_url = await stack.enter_async_context(open_outside(inside, readiness, sock))
        # Halted before all else (below), waited for when the gateway has drained beside it.
        stack.push_async_callback(inside.house.mutations.drain, DRAIN_SECONDS)
        if "sync" in roles:
            loader = await stack.enter_async_context(Loader(core.office.dsn, core.committer))
            engine = make_engine(core, loader)
            core.spawn(engine.run(), "sync")
        if "gateway" in roles:
            server = GatewayServer(make_gateway(core, carrying), limits_of(settings))
            url = await stack.enter_async_context(_listening(server, settings, handed))
        if engine is not None:  # others go on with its syncs while the gateway drains
            stack.push_async_callback(engine.stop)
        readiness.serve()
        stack.callback(readiness.drain)
        stack.callback(inside.house.streams.tail.close)  # readers go to another process
        stack.callback(inside.house.mutations.halt)
        office, watch = core.office, core.watch
        yield Service(
            office,
            core.directory,
            core.committer,
            watch,
            readiness,
            url,
            api_url,
            inside.house,
        )


@asynccontextmanager
async def _listening(
    server: GatewayServer, settings: Settings, handed: Handed
) -> AsyncIterator[str]:
    """Listens, and yields where; on leaving, no call that has begun is left unanswered."""
    sockets = handed.sockets.get("gateway")
    sockets = sockets or listen(settings.gateway_host, settings.gateway_port)
    try:
        async with accepting(server, sockets):
            yield settings.model_copy(update={"gateway_port": port_of(sockets)}).gateway_url
    finally:
        await server.drain(DRAIN_SECONDS)
