"""What `doctor` looks at, one finding for each thing, with what to do about it.

It asks the APIs what the service itself would ask: whose token is this, and which
collections are there. The clock is compared with the Date of their answers.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar

import psycopg

from httpproxy.cli.doctor.secrets import secrets_of
from httpproxy.cli.doctor.symptoms import Finding, Level, symptoms
from httpproxy.cli.failures import explained
from httpproxy.cli.overhearing import overheard
from httpproxy.cli.wording import duration
from httpproxy.exchange.conversations import Principal
from httpproxy.exchange.directory.allotment import Allotment
from httpproxy.exchange.directory.apis import APIS
from httpproxy.exchange.problems import Rejected
from httpproxy.exchange.tokens.refreshing import CredentialTrouble
from httpproxy.management.syncs.standing import healths
from httpproxy.office import Office, open_office
from httpproxy.settings.reading import Settings, misspelled_variables
from httpproxy.store.errors import StoreError
from httpproxy.store.registry import Sync
from httpproxy.store.sync.lags import Lags
from providers.catalog import PROVIDERS
from providers.http import Response
from providers.record import Collection
from providers.spec import Conversation, Provider, Refused, UnknownCollection, Unrecognised

T = TypeVar("T")

HELD_SECONDS: Final = 60.0  # no transaction of ours is open that long
OFF_SECONDS: Final = 5.0  # beyond this, time-based filters and expiries go wrong


class Clock:
    """How far the APIs' clocks are ahead of ours, from the Date of their answers."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.ahead: float | None = None

    def note(self, response: Response) -> None:
        """Take in one answer; one without a readable Date tells nothing."""
        try:
            told = parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
        except ValueError:
            return
        self.ahead = told - self._now()


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Everything that can be checked, in the order in which it depends on each other."""
    for variable, meant in misspelled_variables():
        yield Finding(
            Level.WARNING, "settings", f"{variable} sets nothing", f"did you mean {meant}?"
        )
    async with AsyncExitStack() as stack:
        try:
            office = await stack.enter_async_context(open_office(settings))
            version = await _version(office)
        except (psycopg.Error, StoreError, OSError) as error:
            yield Finding(
                Level.PROBLEM,
                "database",
                str(explained(error) or error).partition("\n")[0],
                "check DATABASE_URL, that Postgres runs there, and that the role may create"
                " schemas; without DATABASE_URL an embedded one is used",
            )
            return
        yield version
        async for finding in secrets_of(office):
            yield finding
        async for finding in _syncs(office):
            yield finding
        if (lag := await Lags(office.database).stream_lag()) > HELD_SECONDS:
            yield held_up(lag)


def held_up(lag: float) -> Finding:
    """What it means that the oldest event has waited so many seconds to be told."""
    return Finding(
        Level.WARNING,
        "streams",
        f"events wait for {duration(lag)}: somebody keeps an older transaction open",
        "docs/operations.md, HttpproxyStreamsLag, says how to find out who",
    )


async def _version(office: Office) -> Finding:
    began = time.perf_counter()
    connection = await psycopg.AsyncConnection.connect(office.dsn, connect_timeout=10)
    async with connection:
        version, host = connection.info.server_version, connection.info.host
        await connection.execute("select 1")
    where = "the embedded one" if office.settings.database_url is None else f"on {host}"
    took = 1000 * (time.perf_counter() - began)
    said = f"Postgres {version // 10_000} ({where}), connects in {took:.0f} ms"
    return Finding(Level.OK, "database", said)


async def _syncs(office: Office) -> AsyncIterator[Finding]:
    syncs = await office.registry.syncs()
    if not syncs:
        yield Finding(
            Level.WARNING, "syncs", "there are none", "make one: `httpproxy sync create --help`"
        )
    clock = Clock(lambda: time.time_ns() / 1e9)
    for sync in syncs:
        async for finding in _sync(office, sync, clock):
            yield finding
    if clock.ahead is not None:
        yield judged(clock.ahead)


async def _condition(office: Office, sync: Sync) -> AsyncIterator[Finding]:
    """What the sync itself has met with."""
    there = (await healths(office, [sync]))[sync.id]
    for finding in symptoms(sync.name, there, time.time_ns() / 1e9):
        yield finding


def judged(ahead: float) -> Finding:
    """What it means that the API's clock is this many seconds ahead of ours."""
    if abs(ahead) <= OFF_SECONDS:
        return Finding(Level.OK, "clock", f"within {OFF_SECONDS:g} s of the API's")
    way = "behind" if ahead > 0 else "ahead of"
    return Finding(
        Level.PROBLEM,
        "clock",
        f"this machine's clock is {abs(ahead):.0f} s {way} the API's",
        "set it by NTP (timedatectl set-ntp true; systemsetup -setusingnetworktime on)",
    )


async def _sync(office: Office, sync: Sync, clock: Clock) -> AsyncIterator[Finding]:
    provider = PROVIDERS.get(sync.provider)
    about = f"sync {sync.name}"
    if provider is None:
        known = ", ".join(PROVIDERS)
        yield Finding(
            Level.PROBLEM,
            about,
            f"this version has no provider {sync.provider!r} (it has {known})",
            "run the version that made it, or delete it: `httpproxy sync delete`",
        )
        return
    async for finding in _condition(office, sync):
        yield finding
    try:
        token = await office.conversations.token_of(sync)
    except CredentialTrouble as trouble:
        about = f"{about}: credential"
        yield Finding(Level.PROBLEM, about, trouble.detail, trouble.remedy)
        return
    except StoreError as error:
        yield Finding(
            Level.PROBLEM,
            f"{about}: credential",
            str(error),
            "set the HTTPPROXY_SECRET_KEY that the sync was made with, or make it anew",
        )
        return
    asking = _Asking(office, provider, sync, token, clock)
    credential = await asking.credential()
    yield credential
    if credential.level is Level.OK:
        for finding in await asking.collections():
            yield finding


@dataclass(frozen=True)
class _Asking:
    office: Office
    provider: Provider
    sync: Sync
    token: str
    clock: Clock

    async def credential(self) -> Finding:
        about = f"sync {self.sync.name}: credential"
        new = f"make a new token and store it: `httpproxy sync token {self.sync.name}`"
        try:
            account = await self._account()
        except Unrecognised:
            return Finding(Level.PROBLEM, about, "the API does not know the stored token", new)
        except Refused as refused:
            return Finding(Level.PROBLEM, about, refused.said, refused.remedy)
        except Rejected as rejected:
            remedy = "check the network, and the settings upstreams and upstream_ca_file"
            return Finding(Level.PROBLEM, about, rejected.detail, remedy)
        if account != self.sync.account:
            said = f"the stored token belongs to {account}, the sync to {self.sync.account}"
            return Finding(Level.PROBLEM, about, said, new)
        return Finding(Level.OK, about, f"opens {account}")

    async def collections(self) -> list[Finding]:
        tables = await self.office.registry.tables(self.sync)
        return [await self._collection(known) for known in tables.schema.collections]

    async def _account(self) -> str:
        if self.provider.identify is not None:
            return await self._hold(self.provider.identify(self.token))
        await self._hold(self.provider.discover(self.sync.account, None))
        return self.sync.account

    async def _collection(self, known: Collection) -> Finding:
        about = f"sync {self.sync.name}: {known.name}"
        try:
            there = await self._hold(self.provider.discover(self.sync.account, (known.id,)))
        except UnknownCollection:
            remedy = "was it deleted, or the token's access to it taken away? Its table stays"
            return Finding(Level.PROBLEM, about, "the account has no such collection", remedy)
        except Refused as refused:
            return Finding(Level.PROBLEM, about, refused.said, refused.remedy)
        except Rejected as rejected:
            return Finding(Level.PROBLEM, about, rejected.detail, "try again")
        fields = next((c.by_id for c in there if c.id == known.id), {})
        new = [f.name for name, f in fields.items() if name not in known.by_id]
        if new:
            said = f"{len(new)} new fields upstream: {', '.join(sorted(new)[:5])}"
            return Finding(Level.OK, about, f"{said}; each becomes a column when it is written")
        return Finding(Level.OK, about, f"{len(known.fields)} fields")

    async def _hold(self, conversation: Conversation[T]) -> T:
        api = APIS[self.provider.name]
        allotment = Allotment(api, self.sync.account, self.office.limiter, self.sync.rates)
        principal = Principal(allotment, self.token)
        heard = overheard(conversation, self.clock.note)
        return await self.office.conversations.converse_as(principal, heard)
