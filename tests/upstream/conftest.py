"""An API that is a recording socket, and a client that takes it for api.airtable.com."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from neighbours.recorder import Recorder

from httpproxy.upstream.client import UpstreamClient

HOST = "api.airtable.com"

Connect = Callable[..., Awaitable[UpstreamClient]]


@pytest.fixture
async def upstream() -> AsyncIterator[Recorder]:
    async with Recorder() as recorder:
        yield recorder


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Opens clients of an origin; all are closed at the end."""
    async with AsyncExitStack() as stack:

        async def open_client(origin: str, **options: object) -> UpstreamClient:
            arguments = {
                "connect_timeout": 60.0,  # a test that is about them brings its own
                "timeout": 60.0,
                "max_response_bytes": 1_000_000,
                **options,
            }
            client = UpstreamClient(origins={HOST: origin}, **arguments)
            return await stack.enter_async_context(client)

        yield open_client


@pytest.fixture
async def client(upstream: Recorder, connect: Connect) -> UpstreamClient:
    return await connect(upstream.url)
