"""Everything that a run needs, opened in order."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from pydantic import SecretStr

from httpproxy.management.services import make_services
from httpproxy.management.syncs.documents import NewSync
from httpproxy.office import Office, api_root, open_office
from httpproxy.settings.reading import Settings
from httpproxy.store.registry import Sync
from providers.catalog import PROVIDERS
from providers.spec import Provider
from tests.benchmarks.processes import Run
from tests.faults.authority import TABLE
from tests.faults.callers import Door, Ledger
from tests.faults.database import Book, Postgres, small_disk
from tests.faults.history import Change, History, Received
from tests.faults.proxies import HOSTS, KEY, Nursery, Proxy, Tally
from tests.faults.troubles import side_api

# Short, so that an outage is over before the next one begins.
SETTINGS: Final[Mapping[str, Any]] = {
    "permit_timeout": 5.0,
    "connect_timeout": 2.0,
    "upstream_timeout": 8.0,
    "commit_timeout": 1.0,
    "sync_interval": 2.0,
    "sweep_interval": 12.0,
    "verify_interval": 5.0,
    "discovery_interval": 30.0,
    "mass_delete_share": 1.0,
    "mass_delete_minimum": 1_000_000,
}
_CYCLE: Final = 120.0  # seconds until a resync must be done


@dataclass(frozen=True, slots=True)
class Pace:
    """What a run has no time for.

    looks  the product's last look at a call in doubt comes after five minutes; here the
           APIs are never later than some seconds
    claim  seconds for which a call in doubt is left to whoever has taken it to look at
    """

    looks: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0, 8.0)
    claim: float = 30.0

    @property
    def constants(self) -> dict[str, Any]:
        """The product's own, by module and name."""
        return {
            "httpproxy.exchange.settling.doubts:LOOKS": self.looks,
            "httpproxy.store.intents.ledger:CLAIM_SECONDS": self.claim,
        }


USUAL: Final = Pace()


@dataclass
class Stage:
    """An open run."""

    postgres: Postgres
    book: Book
    proxies: list[Proxy]
    doors: list[Door]
    ledger: Ledger
    tally: Tally
    api: int
    disk: bool
    log: Path
    pace: Pace

    def settle(self, roles: tuple[str, ...]) -> None:
        """What the next processes do."""
        for proxy in self.proxies:
            dsn = self.postgres.through(proxy.to_postgres.port)
            proxy.settle({**SETTINGS, "database_url": dsn, "roles": list(roles)})

    async def history(self) -> History:
        """All that was seen so far."""
        found = self.ledger.history
        found.received, found.changes = read_log(self.log)
        found.strokes = await self.book.strokes()
        return found

    def keep_logs(self, folder: Path) -> None:
        """Copies what the processes, Postgres and the authority have written."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.log, folder)
        shutil.copy(self.postgres.log, folder / "postgres.log")
        for proxy in self.proxies:
            shutil.copy(proxy.log, folder / f"{proxy.name}.log")

    async def full_cycle(self) -> float:
        """Has every collection listed anew, and what is marked read; the seconds it took."""
        began = time.monotonic()
        async with _office(self.postgres, self.api, self.log.parent) as office:
            for sync in await office.registry.syncs():
                await office.progress.ask_resync(sync.id, None)
                await office.registry.touch(sync)
        asked = "SELECT bool_and(NOT wants_thorough AND listed_at > asked_at) AS yes FROM"
        query = f"{asked} httpproxy.progress"
        while time.monotonic() < began + _CYCLE:
            await asyncio.sleep(0.3)
            if not (await self.book.ask(query))[0]["yes"]:
                continue
            if not await self.book.marks() and not await self.book.intents():
                break
        return time.monotonic() - began


@asynccontextmanager
async def open_stage(
    count: int, seed: int, pace: Pace = USUAL, without: str = ""
) -> AsyncIterator[Stage]:
    """A run with so many gateways on one Postgres; none of them serves yet. `without`
    names a guard that they do not have."""
    async with AsyncExitStack() as stack:
        folder, disk = stack.enter_context(small_disk())
        logs = Path(stack.enter_context(TemporaryDirectory(prefix="httpproxy-faults-")))
        processes = stack.enter_context(Run(logs))
        log = logs / "authority.jsonl"
        api = processes.child("tests.faults.authority", f"{log}", f"{seed}").port
        (folder / "postgres").mkdir()
        postgres = stack.enter_context(Postgres(folder / "postgres"))
        nursery = await stack.enter_async_context(Nursery(pace.constants, without))
        tally = Tally()
        proxies = [Proxy("AB"[n], nursery, logs, tally) for n in range(count)]
        for proxy in proxies:
            await proxy.open(stack, api, postgres.port)
            dsn = postgres.through(proxy.to_postgres.port)
            proxy.settle({**SETTINGS, "database_url": dsn})
        async with _office(postgres, api, logs) as office:
            made = {name: await _create(office, each) for name, each in PROVIDERS.items()}
        book = Book(postgres, {name: table for name, (_, table) in made.items()})
        await book.audit()
        roots = {name: api_root("", sync) for name, (sync, _) in made.items()}
        doors = [Door(proxy.to_us.port, roots) for proxy in proxies]
        ledger = Ledger(await _table_id(api), History())
        yield Stage(postgres, book, proxies, doors, ledger, tally, api, disk, log, pace)


@asynccontextmanager
async def _office(postgres: Postgres, api: int, folder: Path) -> AsyncIterator[Office]:
    """What the command line would work with; past every wire."""
    settings = Settings(
        database_url=SecretStr(postgres.own),
        secret_key=SecretStr(KEY),
        data_dir=folder,
        upstreams=dict.fromkeys(HOSTS, f"http://127.0.0.1:{api}"),
    )
    async with open_office(settings) as office:
        yield office


async def _create(office: Office, provider: Provider) -> tuple[Sync, tuple[str, str]]:
    """A sync, and the schema and name of its table."""
    kit = provider.sandbox
    spelling = TABLE if provider.name == "airtable" else "contacts"
    credential = {
        "kind": provider.credential_kinds[0].name,
        "access_token": kit.token,
        provider.account_property: kit.account,
    }
    limit = {"allowed_requests": 500, "interval": 0.5}
    wanted = {
        "provider": provider.name,
        "collection_ids": [spelling],
        "credential": credential,
        "rate_limits": {budget.name: limit for budget in provider.budgets},
    }
    making = make_services(office).syncs.making
    sync = await making.make(NewSync.model_validate(wanted))
    tables = await office.registry.tables(sync)
    collection = tables.schema.find(spelling)
    assert collection is not None
    return sync, (sync.schema_name, tables.tables[collection.id].name)


async def _table_id(api: int) -> str:
    state = await side_api(api, "state", None, method="GET")
    kit = PROVIDERS["airtable"].sandbox
    tables = state["airtable"]["bases"][kit.account]["tables"]
    return next(i for i, table in tables.items() if table["name"] == TABLE)


def read_log(file: Path) -> tuple[list[Received], list[Change]]:
    """The authority's log."""
    return parsed(file.read_text().splitlines())


def parsed(lines: Iterable[str]) -> tuple[list[Received], list[Change]]:
    """Lines of the authority's log, the last of which may be half written."""
    received: dict[int, Received] = {}
    changes: list[Change] = []
    for line in lines:
        if not line.endswith("}"):
            continue
        word = json.loads(line)
        if "got" in word:
            order = word["got"]
            received[order] = Received(order, word["op"], word["head"], word["body"])
        elif "said" in word:
            received[word["said"]].status = word["status"]
            received[word["said"]].answer = word["answer"]
        else:
            provider, record = word["place"]
            place, values = (provider, record), word["values"]
            changes.append(Change(place, word["made"], word["op"], word["at"], values))
    return list(received.values()), changes
