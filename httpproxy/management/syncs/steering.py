"""The user's word on what a sync does: pause, resume, read anew, compare with the API.

All but the comparison changes the database only; serving processes do as it says there a
moment later.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from pydantic import Field

from httpproxy.exchange.directory.allotment import Allotment
from httpproxy.exchange.directory.apis import APIS
from httpproxy.exchange.directory.syncs import Live
from httpproxy.management.models import Model, Text
from httpproxy.management.naming import public_id, spelling_of
from httpproxy.management.problems import Declined
from httpproxy.management.syncs.standing import healths
from httpproxy.office import Office, make_reading
from httpproxy.store.commits.bulk import Loader
from httpproxy.store.commits.commit import Committer
from httpproxy.store.registry import Sync
from httpproxy.sync.health import Health
from httpproxy.sync.truth import Finding, Truth
from providers.catalog import PROVIDERS
from providers.spec import Budget

SAMPLE: Final = 100
_NAMED: Final = 100


class Resume(Model):
    """Lets a sync go on.

    A sweep is held when a listing lacks so many records that the listing may be wrong;
    nothing is deleted then until somebody agrees.
    """

    delete_missing: bool | list[Text] = Field(
        False,
        description="true, or collections: go on with their held sweeps. Records that the API"
        " no longer has, by a read of each, are deleted.",
    )


class Resync(Model):
    """Reads records anew. Rows stay and can be read meanwhile."""

    collection_ids: list[Text] | None = Field(None, description="Without it: all.")


class Verify(Model):
    """Compares rows with what the API says of them now."""

    collection_ids: list[Text] | None = Field(None, description="Without it: all.")
    sample: int = Field(SAMPLE, ge=1, le=1_000_000, description="Rows of each collection.")
    all: bool = Field(False, description="All that the API lists, in place of a sample.")
    repair: bool = Field(False, description="Put right what differs.")


class Resynced(Model):
    """The collections that will be read anew; `waits`: the sync is paused."""

    collection_ids: list[str]
    waits: bool


class Compared(Model):
    """What a comparison of a collection with the API found; lists name 100 records at most.

    drifted   rows that say something else than the API
    absent    records that the API has and the table lacks
    moved     rows that were written while they were read: nothing can be said of them
    repaired  how many of the drifted and absent were put right
    """

    collection_id: str
    table: str
    checked: int
    same: int
    drifted_count: int
    drifted: list[str]
    absent_count: int
    absent: list[str]
    moved: int
    repaired: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """Whether it was paused, whose held sweeps go on, and whose are held still."""

    was_paused: bool
    agreed: Sequence[Health]
    held: Sequence[Health]


@dataclass(frozen=True, slots=True)
class Looked:
    """A collection, and what the comparison found."""

    health: Health
    finding: Finding

    @property
    def open(self) -> int:
        """Rows that are wrong still."""
        return len(self.finding.wrong) - self.finding.repaired


class Steering:
    """Steers syncs. Raises Declined, and Unavailable when the database is away."""

    def __init__(self, office: Office) -> None:
        self._office = office

    async def health(self, sync: Sync) -> list[Health]:
        """How the sync's collections are now, in the order of their tables."""
        return (await healths(self._office, [sync]))[sync.id]

    async def pause(self, sync: Sync) -> None:
        """Nothing is read from its API until it is resumed; calls are committed as ever."""
        await self._office.registry.set_status(sync, "paused")

    async def resume(self, sync: Sync, delete_missing: bool | Sequence[str] = False) -> Resumed:
        """Lets it go on, and its held sweeps if that is said. Raises Declined if none is
        held, and changes nothing then."""
        agreed: list[Health] = []
        if delete_missing is not False:
            agreed = await self._agree(sync, () if delete_missing is True else delete_missing)
        was_paused = await self._office.registry.set_status(sync, "active")
        there = await self.health(replace(sync, status="active"))
        return Resumed(was_paused, agreed, [each for each in there if each.held])

    async def _agree(self, sync: Sync, names: Sequence[str]) -> list[Health]:
        progress = self._office.progress
        named = chosen(await self.health(sync), names, sync, "delete_missing")
        agreed = [each for each in named if await progress.approve(sync.id, each.id)]
        if not agreed:
            what = f"no sweep of {named[0].table}" if names else "nothing"
            raise Declined("nothing_held", f"{what} is held in {sync.name}", "delete_missing")
        await self._office.registry.touch(sync)
        return agreed

    async def resync(self, sync: Sync, names: Sequence[str] | None) -> list[Health]:
        """Has every record of some collections read anew; those that will be. It ends a
        listing that is under way, or held."""
        named = chosen(await self.health(sync), names or (), sync, "collection_ids")
        ids = [each.id for each in named] if names else None
        await self._office.progress.ask_resync(sync.id, ids)
        await self._office.registry.touch(sync)
        gone = {s.collection for s in await self._office.progress.states(sync.id) if s.removed}
        return [each for each in named if each.id not in gone]

    @asynccontextmanager
    async def verifying(self, sync: Sync, *, share: int) -> AsyncIterator[Verifying]:
        """Opens what compares rows of a sync with the API, at a `share`-th of its rate.

        A process that shares its limits with the others may take all of it (1).
        """
        office = self._office
        async with Committer(office.dsn) as committer, Loader(office.dsn, committer) as loader:
            reading = make_reading(office, committer, loader)
            live = _live(office, sync, share)
            try:
                yield Verifying(Truth(reading, office.comparing, office.registry), live)
            finally:
                live.allotment.give_back()
                await office.progress.count_requests(reading.usage.drain())


@dataclass(frozen=True, slots=True)
class Verifying:
    """Compares rows of one sync; its requests are counted as the sync's."""

    truth: Truth
    live: Live

    async def look(self, health: Health, wish: Verify) -> list[Looked]:
        """What a look at one collection finds."""
        sample = None if wish.all else wish.sample
        found = await self.truth.verify(self.live, health.id, sample=sample, repair=wish.repair)
        return [Looked(health, finding) for finding in found]


def resynced(sync: Sync, named: Sequence[Health]) -> Resynced:
    """The answer to who asked for it."""
    return Resynced(
        collection_ids=[_public(sync, each) for each in named], waits=sync.status == "paused"
    )


def compared(sync: Sync, looked: Looked) -> Compared:
    """The answer to who asked for it."""
    found = looked.finding
    return Compared(
        collection_id=_public(sync, looked.health),
        table=looked.health.table,
        checked=found.checked,
        same=found.same,
        drifted_count=len(found.drifted),
        drifted=list(found.drifted[:_NAMED]),
        absent_count=len(found.absent),
        absent=list(found.absent[:_NAMED]),
        moved=found.moved,
        repaired=found.repaired,
    )


def chosen(
    there: Sequence[Health], wanted: Sequence[str], sync: Sync, member: str
) -> list[Health]:
    """The collections that are named, by public id, table, name or the API's id; all of them
    for no name. Raises Declined, with the names that there are."""
    if not wanted:
        return list(there)
    return [_one(there, text, sync, member) for text in wanted]


def _one(there: Sequence[Health], text: str, sync: Sync, member: str) -> Health:
    provider = PROVIDERS[sync.provider]
    spelling = spelling_of(provider, text, member)
    handles = {each.id: provider.handle(each.id, each.name) for each in there}
    for spelt in (str, str.lower):
        for each in there:
            names = (each.table, each.id, each.name, handles[each.id])
            if spelt(spelling) in map(spelt, names):
                return each
    tables = ", ".join(each.table for each in there) or "none"
    detail = f"{sync.name} has no table {text[:80]!r}; there are: {tables}"
    raise Declined("unknown_collection", detail, member)


def _public(sync: Sync, health: Health) -> str:
    return public_id(PROVIDERS[sync.provider], health.id, health.name)


def _live(office: Office, sync: Sync, share: int) -> Live:
    """The sync as this look works on it, at its own rate beside the others'."""
    api = APIS[sync.provider]
    rates: Mapping[str, Budget] = {
        rate.name: rate for rate in (*api.provider.default_rates, *sync.rates)
    }
    slow = tuple(_slowed(rate, share) for rate in rates.values()) if share > 1 else sync.rates
    return Live(sync, Allotment(api, sync.account, office.limiter, slow, f"verify {sync.id}"))


def _slowed(rate: Budget, share: int) -> Budget:
    """A part of a rate; where that is less than a request, one in a longer interval."""
    fewer = rate.allowed_requests // share
    if fewer:
        return replace(rate, allowed_requests=fewer)
    longer = rate.interval * share / rate.allowed_requests
    return replace(rate, allowed_requests=1, interval=longer)
