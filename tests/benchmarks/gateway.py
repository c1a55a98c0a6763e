"""The gateway under test: a real `httpproxy serve` in front of the stub, on a Postgres
of the run's own.

The sync covers the one table of `record`, made through the registry from what the
provider's own discovery says of the stub. Its rate is set far above what the run
reaches: the limiter is in the path and never waits.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from httpproxy.store.database import Database
from httpproxy.store.registry import Registry, Sync
from httpproxy.store.secrets.vault import Vault
from providers.airtable.provider import AIRTABLE
from providers.http import Response
from providers.record import Collection
from tests.benchmarks import record, stub
from tests.benchmarks.processes import Process, Run, free_port
from tests.neighbours.syncs import new_sync

SECRET_KEY: Final = "benchmarks only, never a secret: 0123456789abcdef"
_PLENTY: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway and the path under which the sync's API is found."""

    process: Process
    prefix: str


def discovered() -> tuple[Collection, ...]:
    """The collections of the benchmark's base, as discovery reads them from the stub."""
    conversation = AIRTABLE.discover(record.BASE, (record.TABLE,))
    request = next(conversation)
    while True:
        body = stub.answer(b"GET", request.path.encode(), b"").partition(b"\r\n\r\n")[2]
        try:
            request = conversation.send(Response(200, body=body))
        except StopIteration as done:
            found: tuple[Collection, ...] = done.value
            return found


@asynccontextmanager
async def registry(dsn: str) -> AsyncIterator[Registry]:
    """The registry of the run's database, migrations applied."""
    async with Database(dsn) as database:
        yield Registry(database, Vault(SECRET_KEY))


async def make_sync(
    syncs: Registry, name: str, account: str, collections: tuple[Collection, ...]
) -> Sync:
    """A sync whose limits are out of the way."""
    return await new_sync(
        syncs,
        AIRTABLE.name,
        name,
        account,
        record.TOKEN,
        rates=tuple(replace(b, allowed_requests=_PLENTY) for b in AIRTABLE.budgets),
        collections=collections,
    )


def prefix(sync: Sync) -> str:
    """The path that stands before the API's own."""
    return f"/{sync.unique_id}/{record.HOST}"


def serve(run: Run, dsn: str, upstream: int, workers: int = 1) -> Process:
    """Starts `httpproxy serve` with a clean environment and waits for its port."""
    port = free_port()
    process = _started(
        run,
        dsn,
        "gateway" if workers == 1 else f"gateway-of-{workers}",
        HTTPPROXY_GATEWAY_PORT=str(port),
        HTTPPROXY_UPSTREAMS=json.dumps({record.HOST: f"http://127.0.0.1:{upstream}"}),
        HTTPPROXY_WORKERS=str(workers),
        HTTPPROXY_ROLES="gateway",  # a sync's calls would count for the gateway's
    )
    process.wait_for_port(port, 30)
    return process


def serve_both(run: Run, dsn: str, upstream: int, max_streams: int) -> tuple[Process, int]:
    """The gateway, and the management port in the same process; that one's port."""
    port, api_port = free_port(), free_port()
    process = _started(
        run,
        dsn,
        "gateway-and-api",
        HTTPPROXY_GATEWAY_PORT=str(port),
        HTTPPROXY_API_PORT=str(api_port),
        HTTPPROXY_UPSTREAMS=json.dumps({record.HOST: f"http://127.0.0.1:{upstream}"}),
        HTTPPROXY_ROLES="gateway,api",
        HTTPPROXY_MAX_STREAMS=str(max_streams),
        HTTPPROXY_MAX_STREAMS_PER_KEY=str(max_streams),
    )
    process.wait_for_port(api_port, 30)
    process.wait_for_port(port, 30)
    return process, api_port


def serve_api(run: Run, dsn: str) -> Process:
    """The same with the management port alone."""
    port = free_port()
    process = _started(run, dsn, "api", HTTPPROXY_API_PORT=str(port), HTTPPROXY_ROLES="api")
    process.wait_for_port(port, 30)
    return process


def _started(run: Run, dsn: str, name: str, **settings: str) -> Process:
    return run.start(
        name,
        [sys.executable, "-m", "httpproxy", "serve"],
        {
            "PATH": os.defpath,
            "HTTPPROXY_DATABASE_URL": dsn,
            "HTTPPROXY_DATA_DIR": str(run.folder / "gateway"),
            "HTTPPROXY_SECRET_KEY": SECRET_KEY,
            "HTTPPROXY_LOG_LEVEL": "warning",
            **settings,
        },
    )
