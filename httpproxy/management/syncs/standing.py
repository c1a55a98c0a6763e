"""How syncs stand, as documents: what the registry has of them, their collections, health.

A page of a hundred costs two statements, whatever the number of collections. What has to be
counted (rows, marks, requests) is counted for single syncs only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Literal

from httpproxy.management.models import RateLimit
from httpproxy.management.naming import public_id
from httpproxy.management.patching import etag_of
from httpproxy.management.syncs.documents import (
    CollectionHealth,
    Connection,
    HealthDocument,
    RateLimitInForce,
    RateLimitOfSync,
    Settable,
    SyncDocument,
    TableFacts,
)
from httpproxy.office import Office, api_root, wall_clock
from httpproxy.store.registry import Sync
from httpproxy.store.roster import Entry
from httpproxy.sync.health import Health, Phase, health, overall
from providers.catalog import PROVIDERS
from providers.spec import Budget, Provider

_WRONG: Final = (Phase.FAILING, Phase.HELD)

Where = tuple[str, int, str]


async def healths(
    office: Office, entries: Sequence[Sync], *, counted: bool = True
) -> dict[str, list[Health]]:
    """How the collections of some syncs are now, by the syncs' ids."""
    ids = [sync.id for sync in entries]
    states, now = await office.progress.all_states(ids, counted=counted), wall_clock()
    return {
        sync.id: [health(state, sync.name, sync.status, now) for state in states[sync.id]]
        for sync in entries
    }


class Standing:
    """Tells how syncs stand."""

    def __init__(self, office: Office) -> None:
        self._office = office

    async def documents(
        self, entries: Sequence[Entry], *, counted: bool = False
    ) -> list[SyncDocument]:
        """The documents of syncs, in their order."""
        there = await healths(self._office, [e.sync for e in entries], counted=counted)
        return await self.told(entries, there, counted=counted)

    async def told(
        self,
        entries: Sequence[Entry],
        there: Mapping[str, Sequence[Health]],
        *,
        counted: bool = False,
    ) -> list[SyncDocument]:
        """The same, of syncs whose health is known already."""
        where, gateway = await self._office.database.where(), self._office.settings.gateway_url
        return [
            document(each, there[each.sync.id], where, gateway, counted=counted)
            for each in entries
        ]

    async def one(self, entry: Entry) -> SyncDocument:
        """The document of one sync, with all that is counted."""
        return (await self.documents([entry], counted=True))[0]


def document(
    entry: Entry, there: Sequence[Health], where: Where, gateway: str, *, counted: bool
) -> SyncDocument:
    """A sync's document. Pure."""
    sync, provider = entry.sync, PROVIDERS[entry.sync.provider]
    named = [(public_id(provider, each.id, each.name), each) for each in there]
    limits = rate_limits(provider, sync.rates)
    main = limits[provider.default_rates[0].name]
    return SyncDocument(
        id=sync.id,
        name=sync.name,
        provider=sync.provider,
        account=sync.account,
        status="paused" if sync.status == "paused" else "active",
        external_id=entry.external_id,
        metadata=dict(entry.metadata),
        collection_ids=[id_ for id_, _ in named],
        covers_all=sync.covers_all,
        rate_limit=RateLimitOfSync(**main.model_dump(exclude={"source"})),
        rate_limits=limits,
        credential_id=sync.credential_id,
        api_root=api_root(gateway, sync),
        schema=sync.schema_name,
        connection=Connection(
            host=where[0],
            port=where[1],
            database=where[2],
            schema=sync.schema_name,
            tables=[TableFacts(collection_id=id_, table=each.table) for id_, each in named],
        ),
        health=_health(named, counted=counted),
        created_at=entry.created_at,
        updated_at=entry.updated_at,
    )


def settable(entry: Entry, collection_ids: Sequence[str]) -> Settable:
    """All that can be set of a sync, as it is: what is there already is not judged."""
    sync = entry.sync
    return Settable.model_construct(
        name=sync.name,
        status="paused" if sync.status == "paused" else "active",
        external_id=entry.external_id,
        metadata=dict(entry.metadata),
        collection_ids=None if sync.covers_all else list(collection_ids) or None,
        rate_limits={rate.name: as_limit(rate) for rate in sync.rates},
        credential_id=sync.credential_id,
    )


def tag_of(found: SyncDocument, entry: Entry) -> str:
    """The entity tag of a sync."""
    return etag_of(settable(entry, found.collection_ids))


def as_limit(rate: Budget) -> RateLimit:
    """A rate as the API spells it; one that is in force already is not judged."""
    return RateLimit.model_construct(
        allowed_requests=rate.allowed_requests,
        interval=rate.interval,
        max_concurrent_requests=rate.max_concurrent_requests,
    )


def rate_limits(provider: Provider, rates: Sequence[Budget]) -> dict[str, RateLimitInForce]:
    """What a sync may use, by budget: what was set, and the defaults of the others."""
    defaults = {rate.name: _in_force(rate, "default") for rate in provider.default_rates}
    return defaults | {rate.name: _in_force(rate, "set") for rate in rates}


def _in_force(rate: Budget, source: Literal["set", "default"]) -> RateLimitInForce:
    return RateLimitInForce(
        allowed_requests=rate.allowed_requests,
        interval=rate.interval,
        max_concurrent_requests=rate.max_concurrent_requests,
        source=source,
    )


def _health(named: Sequence[tuple[str, Health]], *, counted: bool) -> HealthDocument:
    phase = overall(each for _, each in named)
    wrong = [each for _, each in named if each.phase in _WRONG or each.error]
    first = min(wrong, key=lambda each: each.phase is not phase, default=None)
    return HealthDocument(
        phase=phase,
        ok=not wrong,
        error=first.error or None if first else None,
        remedy=first.remedy or None if first else None,
        collections=[_collection(id_, each, counted=counted) for id_, each in named],
    )


def _collection(id_: str, each: Health, *, counted: bool) -> CollectionHealth:
    return CollectionHealth(
        collection_id=id_,
        name=each.name,
        table=each.table,
        phase=each.phase,
        records=each.records,
        share=each.share if counted else None,
        rows=each.rows if counted else None,
        followed=each.followed,
        lag=each.lag,
        succeeded_at=_moment(each.succeeded),
        marks=each.marks if counted else None,
        since=_moment(each.since),
        error=each.error or None,
        remedy=each.remedy or None,
        failures=each.failures,
        requests=dict(each.requests) if counted else None,
        checked=each.checked,
        drifted=each.drifted,
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
