"""What works on the registry: the command line's part of the service, and its first one.

    database <- registry, progress, comparing
    client <- tokens; client, limiter, tokens <- conversations

`open_office` opens it; nothing is served.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count

from httpproxy.exchange.conversations import Conversations
from httpproxy.exchange.tokens.access import Tokens
from httpproxy.exchange.tokens.refreshing import Refresher
from httpproxy.settings.reading import Settings
from httpproxy.store.commits.bulk import Loader
from httpproxy.store.commits.commit import Committer
from httpproxy.store.credentials.apps import Apps
from httpproxy.store.credentials.refreshes import Refreshes
from httpproxy.store.database import Database
from httpproxy.store.embedded.server import EmbeddedPostgres
from httpproxy.store.registry import Registry, Sync
from httpproxy.store.secrets.vault import Vault, open_vault
from httpproxy.store.sync.comparing import Comparing
from httpproxy.store.sync.progress import Progress
from httpproxy.sync.reading import Reading
from httpproxy.sync.usage import Usage
from httpproxy.telemetry.tally import Tally
from httpproxy.upstream.client import UpstreamClient
from httpproxy.upstream.limiter import Limiter
from providers.catalog import PROVIDERS


@dataclass(frozen=True)
class Office:
    """What works on the registry: the command line, and the service itself."""

    settings: Settings
    embedded: EmbeddedPostgres | None
    dsn: str
    database: Database
    vault: Vault
    registry: Registry
    progress: Progress
    comparing: Comparing
    client: UpstreamClient
    limiter: Limiter
    tokens: Tokens
    conversations: Conversations


def api_root(gateway_url: str, sync: Sync) -> str:
    """What a client prepends to the API's path: the gateway, the unique id, the host."""
    return f"{gateway_url}/{sync.unique_id}/{PROVIDERS[sync.provider].hosts[0]}"


@asynccontextmanager
async def open_office(settings: Settings, tally: Tally | None = None) -> AsyncIterator[Office]:
    """Opens the database (embedded if none is set), the registry and our own calls, whose
    answers `tally` counts."""
    async with AsyncExitStack() as stack:
        embedded = await stack.enter_async_context(_embedded(settings))
        dsn = _dsn(settings, embedded)
        database = await stack.enter_async_context(Database(dsn))
        vault = _vault(settings)
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
        tokens = _tokens(database, vault, client)
        conversations = Conversations(client, limiter, tokens, wall_clock, tally)
        yield Office(
            settings=settings,
            embedded=embedded,
            dsn=dsn,
            database=database,
            vault=vault,
            registry=registry,
            progress=Progress(database),
            comparing=Comparing(database),
            client=client,
            limiter=limiter,
            tokens=tokens,
            conversations=conversations,
        )


def _tokens(database: Database, vault: Vault, client: UpstreamClient) -> Tokens:
    refreshes, apps = Refreshes(database, vault), Apps(database, vault)
    holder = secrets.token_hex(8)
    return Tokens(Refresher(refreshes, apps, client, holder, time.monotonic), time.monotonic)


def _vault(settings: Settings) -> Vault:
    key, former = settings.secret_key, settings.former_secret_keys
    return open_vault(
        settings.data_dir,
        key.get_secret_value() if key else None,
        [each.get_secret_value() for each in former],
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


def make_reading(office: Office, committer: Committer, loader: Loader) -> Reading:
    """Our own reads, committed through these; the caller keeps its usage."""
    return Reading(office.conversations, committer, loader, Usage(), request_ids(), wall_clock)


def wall_clock() -> float:
    """Seconds since the epoch; handed in here, an argument everywhere else."""
    return time.time_ns() / 1e9


def request_ids() -> Callable[[], str]:
    """Ids that are unique over processes and cost nothing: a random start, then a count."""
    start, numbers = secrets.token_hex(6), count(1)
    return lambda: f"{start}-{next(numbers):x}"
