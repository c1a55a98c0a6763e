"""Opens what is seen of a service from outside: traces, readiness, the second door.

    watching(settings)              the watch that gateway and sync tell of calls and jobs
    readiness_of(inside)            what can be stuck in this process
    open_outside(inside, …)         the door, which shows both

The door is opened before the gateway and so closes after it.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final

from httpproxy.api import checks
from httpproxy.api.house import House
from httpproxy.api.metrics.samples import Part, Sample, of_commits, of_limiter, of_tally
from httpproxy.api.metrics.standing import StandingReader
from httpproxy.api.readiness import Readiness
from httpproxy.api.server import Outside, open_api
from httpproxy.api.siblings import Siblings
from httpproxy.exchange.tokens.access import Tokens
from httpproxy.office import Office, request_ids
from httpproxy.settings.reading import Settings, SettingsError
from httpproxy.sharing.leasing import Leasing
from httpproxy.sharing.presence import Presence
from httpproxy.store.commits.commit import Committer
from httpproxy.store.intents.book import Intents
from httpproxy.store.replicas import Replicas
from httpproxy.store.secrets.keys import Keys
from httpproxy.store.sync.lags import Lags
from httpproxy.telemetry.watch import Watch

VERSION: Final = version("httpproxy")


@dataclass(frozen=True)
class Inside:
    """What is looked at, and what the operations of /v1 work with. `leasing` None: this
    process shares its limits with nobody."""

    office: Office
    house: House
    keys: Keys
    watch: Watch
    presence: Presence
    committer: Committer
    intents: Intents
    leasing: Leasing | None = None
    siblings: Siblings = field(default_factory=Siblings)


@asynccontextmanager
async def watching(settings: Settings) -> AsyncIterator[Watch]:
    """The watch of this process, with traces if the settings ask for them.

    Spans that are left at the end are sent. Raises SettingsError if the extra is missing.
    """
    watch = Watch(access_log=settings.access_log)
    if settings.otlp_endpoint is None:
        yield watch
        return
    try:
        # Only who sends traces has these libraries, and only they pay for loading them.
        from httpproxy.telemetry.spans import Spans  # noqa: PLC0415 - see above
    except ImportError as error:
        raise SettingsError(
            ["otlp_endpoint: traces need more libraries: pip install 'httpproxy[otel]'"]
        ) from error
    spans = watch.tracer = Spans(settings.otlp_endpoint, VERSION, watch.tally)
    try:
        yield watch
    finally:
        await asyncio.to_thread(spans.close)


def readiness_of(inside: Inside) -> Readiness:
    """The checks of this process."""
    grace = inside.office.settings.ready_grace
    found = [
        checks.database(inside.committer, grace),
        checks.commits(inside.committer, grace),
        checks.intents(inside.intents, grace),
        checks.lease(inside.presence.trusted),
    ]
    if inside.office.embedded is not None:
        found.append(checks.embedded(inside.office.embedded))
    return Readiness(found, time.monotonic)


@asynccontextmanager
async def open_outside(
    inside: Inside, readiness: Readiness, sock: socket.socket | None = None
) -> AsyncIterator[str]:
    """Opens the second door, on the settings' port or on a socket that was handed in;
    yields its URL. Raises OSError if the port is taken."""
    office, settings = inside.office, inside.office.settings
    outside = Outside(
        version=VERSION,
        readiness=readiness,
        parts=(
            *_parts(inside),
            lambda: _of_replicas(inside.house.replicas),
            lambda: (Sample("stream_readers", (), inside.house.streams.tail.readers),),
        ),
        standing=StandingReader(Lags(office.database), inside.intents.count, time.monotonic),
        house=inside.house,
        keys=inside.keys,
        new_request_id=request_ids(),
        max_body=settings.max_request_bytes,
        siblings=inside.siblings,
    )
    async with open_api(outside, settings.api_host, settings.api_port, sock) as url:
        yield url


@asynccontextmanager
async def replicas_of(settings: Settings) -> AsyncIterator[Replicas]:
    """The replicas that the settings name; a connection is made when somebody waits."""
    dsns = {name: dsn.get_secret_value() for name, dsn in settings.replicas.items()}
    async with Replicas(dsns) as replicas:
        yield replicas


def _parts(inside: Inside) -> tuple[Part, ...]:
    return (
        lambda: of_tally(inside.watch.tally),
        lambda: of_limiter(inside.office.limiter),
        lambda: of_commits(inside.committer),
        lambda: _of_leasing(inside.leasing),
        lambda: _of_refreshes(inside.office.tokens),
    )


def _of_refreshes(tokens: Tokens) -> Iterator[Sample]:
    for outcome, number in tokens.refreshes.items():
        yield Sample("token_refreshes", outcome, number)


def _of_leasing(leasing: Leasing | None) -> Iterator[Sample]:
    if leasing is not None:
        yield Sample("leasing_calls", (), leasing.calls)


def _of_replicas(replicas: Replicas) -> Iterator[Sample]:
    for name in replicas.names():
        replica = replicas.get(name)
        if replica is not None:
            yield Sample("replica_waiters", (name,), replica.waiting)
