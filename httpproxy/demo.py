"""The demo: everything real but the APIs, which are the bundled sandboxes.

An embedded Postgres, the sandbox server, the gateway and a sync for each provider,
with the data in a folder of the demo's own, so that a second run finds the first one's
rows. Then one write through the gateway, as any client would make it: the request, the
answer with its receipt, and the row.
"""

from __future__ import annotations

import asyncio
import http.client
import re
import shlex
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
import psycopg
from psycopg.rows import dict_row

from httpproxy.management.services import make_services
from httpproxy.management.syncs.documents import NewSync
from httpproxy.sandbox.server import SandboxServer
from httpproxy.sandbox.simulators import Simulators
from httpproxy.service import Service, open_service
from httpproxy.settings.reading import Settings
from httpproxy.store.registry import Sync
from providers.catalog import PROVIDERS
from providers.http import Request, Response, headers
from providers.spec import Provider

Say = Callable[[str], None]

_WHERE: Final = re.compile(r"\s+where\s.*", re.IGNORECASE | re.DOTALL)
_SHOWN_HEADERS: Final = ("content-type", "proxy-status", "httpproxy-commit")


@dataclass(frozen=True)
class Demo:
    """The running demo: its service, and a sync for each provider by name."""

    settings: Settings
    service: Service
    syncs: dict[str, Sync]


@asynccontextmanager
async def open_demo(settings: Settings) -> AsyncIterator[Demo]:
    """Starts all of it, in `data_dir`/demo, whatever database the settings name."""
    folder = settings.data_dir / "demo"
    simulators = Simulators(PROVIDERS.values(), folder / "sandbox")
    async with SandboxServer(
        simulators, settings.sandbox_host, settings.sandbox_port
    ) as sandbox:
        own = settings.model_copy(
            update={
                "database_url": None,
                "data_dir": folder,
                "upstreams": dict(sandbox.upstreams),
                "public_url": None,
                "roles": ("gateway", "sync"),
            }
        )
        async with open_service(own) as service:
            syncs = {name: await _sync(service, p) for name, p in PROVIDERS.items()}
            yield Demo(own, service, syncs)


async def _sync(service: Service, provider: Provider) -> Sync:
    """The demo's sync of a provider, made if an earlier run has not."""
    office, name, kit = service.office, f"demo-{provider.name}", provider.sandbox
    found = await office.registry.sync(name)
    if found is not None:
        return found
    kind = provider.credential_kinds[0].name
    credential = {
        "kind": kind,
        "access_token": kit.token,
        provider.account_property: kit.account,
    }
    wanted = {
        "provider": provider.name,
        "name": name,
        "collection_ids": list(kit.collections),
        "credential": credential,
    }
    making = make_services(office).syncs.making
    return await making.make(NewSync.model_validate(wanted))


async def present(demo: Demo, say: Say) -> None:
    """Make one write and show it: the request, the answer, the row."""
    provider = next(iter(PROVIDERS.values()))
    sync = demo.syncs[provider.name]
    url = _url(demo, provider)
    request = provider.authorize(provider.sandbox.example.request, provider.sandbox.token)
    say(f"1. A write to {provider.title}, through the gateway:\n")
    say(_curl(request, url))
    response = await asyncio.to_thread(_send, request, url)
    say("\n2. The answer, with the receipt of its commit:\n")
    say(_shown(response))
    select = provider.sandbox.example.select.format(
        schema=sync.schema_name, record_id=_record_id(response)
    )
    say(f"\n3. The row, read right after it:\n\n{select}\n")
    for row in await _rows(demo.service.office.dsn, select):
        for column, value in row.items():
            say(f"   {column:22} {value}")


def invite(demo: Demo, say: Say) -> None:
    """Say how to make the next write, which is the reader's."""
    say("\nNow you. The API roots, which a client takes as its base URL:\n")
    for name, one in demo.syncs.items():
        say(f"   {PROVIDERS[name].title:10} {demo.service.api_root(one)}")
    for name in demo.syncs:
        _example(demo, PROVIDERS[name], say)
    say("\nWhat was in the accounts before is in the tables, too: the sync fills them in, and")
    say("follows what others change.\n")
    say(f"{_program()} --data-dir {shlex.quote(str(demo.settings.data_dir))} sync watch --once")
    say("\nCtrl-C ends it. The data stays for the next time.")


def _example(demo: Demo, provider: Provider, say: Say) -> None:
    """A create to paste, and the SELECT that shows its row among the last to come."""
    example = provider.sandbox.example
    request = provider.authorize(example.request, provider.sandbox.token)
    latest = _WHERE.sub("", " ".join(example.select.rstrip("; \n").split()))
    schema = demo.syncs[provider.name].schema_name
    select = f"{latest} order by _sync_inserted_at desc limit 5".format(
        schema=schema, record_id=""
    )
    say(f"\n{provider.title}: make a record, and look at its row\n")
    say(_curl(request, _url(demo, provider)))
    say(f"{_program()} --data-dir {shlex.quote(str(demo.settings.data_dir))} db query \\")
    say(f"  {shlex.quote(select)}")


def _url(demo: Demo, provider: Provider) -> str:
    """Where the provider's example goes: the API root in place of the API's origin."""
    root = demo.service.api_root(demo.syncs[provider.name]).removesuffix(provider.hosts[0])
    request = provider.sandbox.example.request
    return f"{root}{request.host}{request.target}"


def _send(request: Request, url: str) -> Response:
    """The call as a plain client makes it; runs in a thread."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        target = url.partition(parts.netloc)[2]
        connection.request(request.method, target, request.body, dict(request.headers))
        answer = connection.getresponse()
        fields = answer.headers
        body = answer.read()
    finally:
        connection.close()
    return Response(answer.status, headers(*fields.items()), body, answer.reason)


def _curl(request: Request, url: str) -> str:
    lines = [f"curl -sS -i -w '\\n' -X {request.method} {shlex.quote(url)}"]
    lines += [f"-H {shlex.quote(f'{n}: {v}')}" for n, v in request.headers.items()]
    if request.body:
        lines.append(f"-d {shlex.quote(request.body.decode())}")
    return " \\\n  ".join(lines)


def _shown(response: Response) -> str:
    fields = [
        f"{name}: {value}"
        for name, value in response.headers.items()
        if name.lower() in _SHOWN_HEADERS
    ]
    head = [f"HTTP/1.1 {response.status} {response.reason}", *fields]
    return "\n".join([*head, "", response.body.decode("utf-8", "replace")])


def _record_id(response: Response) -> str:
    """The new record's id, "" if the answer has none."""
    body: Any = orjson.loads(response.body) if response.body else {}
    return str(body.get("id", "")) if isinstance(body, dict) else ""


async def _rows(dsn: str, select: str) -> list[dict[str, Any]]:
    connection = await psycopg.AsyncConnection.connect(dsn, row_factory=dict_row)
    async with connection:
        cursor = await connection.execute(select.encode())
        return await cursor.fetchall()


def _program() -> str:
    """How this program was called, so that what is printed can be pasted."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m httpproxy"
    return shlex.quote(str(called))
