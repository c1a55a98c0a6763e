"""The second door of a process that does nothing else, and somebody who asks there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import requests
from pydantic import SecretStr

from httpproxy.api.readiness import Readiness
from httpproxy.api.siblings import Siblings
from httpproxy.assembly import Core, make_carrying, make_house
from httpproxy.exchange.directory.syncs import Directory
from httpproxy.exchange.schema.rediscovery import Rediscovery
from httpproxy.exchange.settling.overlaps import Settlement
from httpproxy.office import open_office
from httpproxy.outside import Inside, open_outside, readiness_of, replicas_of, watching
from httpproxy.settings.reading import Settings
from httpproxy.sharing.leasing import Leasing
from httpproxy.sharing.presence import Presence
from httpproxy.store.commits.commit import Committer
from httpproxy.store.intents.book import Intents
from httpproxy.store.secrets.keys import Keys
from httpproxy.store.sharing.permits import Permits
from httpproxy.store.sharing.processes import Processes
from httpproxy.tasks import Tasks
from httpproxy.upstream.limiter import Limiter

_NUMBERS = count()


async def ask(url: str, method: str = "GET", **headers: str) -> requests.Response:
    """The answer to a request of a client of its own."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await asyncio.to_thread(requests.request, method, url, headers=named, timeout=60)


@dataclass(frozen=True)
class Opened:
    """What is looked at, and the door where one looks."""

    inside: Inside
    readiness: Readiness
    url: str

    async def ask(self, path: str, method: str = "GET", **headers: str) -> requests.Response:
        return await ask(f"{self.url}{path}", method, **headers)

    async def key(self, *scopes: Any, sync_id: str | None = None) -> str:
        """The text of an API key, a new one each time."""
        keys = Keys(self.inside.office.database, float)
        name = f"key {next(_NUMBERS)} of {scopes}"
        _, text = await keys.create(name, scopes, sync_id=sync_id)
        return text.reveal()


@asynccontextmanager
async def open_door(
    dsn: str, folder: Path, siblings: Siblings | None = None, **settings: Any
) -> AsyncIterator[Opened]:
    """A process with a database, and the door; nobody calls through it."""
    chosen = Settings(database_url=SecretStr(dsn), data_dir=folder, api_port=0, **settings)
    async with (
        AsyncExitStack() as stack,
        open_office(chosen) as office,
        watching(chosen) as watch,
        Presence(Processes(office.database), "test", chosen.roles) as presence,
        Committer(office.dsn) as committer,
        Intents(office.dsn, lambda: presence.number) as intents,
        Tasks() as tasks,
    ):
        keys = Keys(office.database, time.monotonic)
        core = Core(
            office=office,
            committer=committer,
            directory=Directory(office.registry, office.limiter),
            rediscovery=Rediscovery(office.conversations, office.registry),
            presence=presence,
            # Of a limiter of its own: what is looked at shares its limits with nobody.
            leasing=Leasing(Permits(office.database), Limiter(), presence),
            intents=intents,
            settlement=Settlement(office.conversations, committer),
            watch=watch,
            keys=keys,
            spawn=tasks.start,
        )
        replicas = await stack.enter_async_context(replicas_of(chosen))
        inside = Inside(
            office,
            make_house(core, make_carrying(core), replicas),
            keys,
            watch,
            presence,
            committer,
            intents,
            siblings=siblings or Siblings(),
        )
        readiness = readiness_of(inside)
        async with open_outside(inside, readiness) as url:
            yield Opened(inside, readiness, url)
