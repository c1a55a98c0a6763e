"""Syncs: listed, looked at, made, changed, ended.

A change is a merge patch on all that can be set. It is written only over what was read: who
changes the same sync meanwhile is waited out, and the patch applied anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

from pydantic import JsonValue, ValidationError

from httpproxy.management.credentials.service import Credentials
from httpproxy.management.models import Metadata, wrongs
from httpproxy.management.naming import provider_named, public_id_of, unknown_sync
from httpproxy.management.paging import Page, made_of, page_of, read_metadata
from httpproxy.management.patching import (
    ATTEMPTS,
    etag_of,
    merge_patch,
    overtaken,
    require_match,
)
from httpproxy.management.problems import Declined
from httpproxy.management.syncs.documents import (
    NewSync,
    Settable,
    SyncDocument,
    SyncFilters,
    SyncPatch,
)
from httpproxy.management.syncs.making import Making, Narrated, budgets, silently, spellings
from httpproxy.management.syncs.standing import (
    Standing,
    as_limit,
    healths,
    settable,
    tag_of,
)
from httpproxy.office import Office
from httpproxy.store.errors import Stale
from httpproxy.store.registry import Sync
from httpproxy.store.roster import Entry, Roster, SyncChange, SyncFilter
from httpproxy.sync.health import Health, overall
from providers.catalog import PROVIDERS
from providers.record import Collection
from providers.spec import Provider

_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class Seen:
    """A sync, its document, and how its collections are."""

    sync: Sync
    document: SyncDocument
    health: Sequence[Health]


@dataclass(frozen=True, slots=True)
class _Covered:
    """The collections of a sync, and which of them are gone upstream."""

    collections: tuple[Collection, ...]
    gone: frozenset[str]

    def ids(self, provider: Provider) -> list[str]:
        return [public_id_of(provider, each) for each in self.collections]


class Syncs:
    """Manages syncs. Raises what `Making` raises, and Declined."""

    def __init__(self, office: Office, credentials: Credentials) -> None:
        self._office = office
        self._roster = Roster(office.database)
        self._standing = Standing(office)
        self.making = Making(office, credentials)

    async def page(
        self, filters: SyncFilters, limit: int, cursor: str | None, only: str | None = None
    ) -> Page[SyncDocument]:
        """The syncs that fit, oldest first; `only` the one of this id.

        Raises Declined for a provider that there is not.

        Candidates for a phase are found by indexes; who of them is at it, health decides.
        """
        after, wanted, phase = made_of(cursor), _wanted(filters, only), filters.health
        if phase is None:
            rows = await self._roster.page(wanted, after, limit + 1)
            page = page_of(rows, limit, lambda row: row.place)
            return Page(await self._standing.documents(page.items), page.next)
        found: list[tuple[Entry, SyncDocument]] = []
        while len(found) <= limit:
            rows = await self._roster.page(wanted, after, limit + 1)
            there = await healths(self._office, [row.sync for row in rows], counted=False)
            fits = [row for row in rows if overall(there[row.sync.id]) is phase]
            found += zip(fits, await self._standing.told(fits, there), strict=True)
            if len(rows) <= limit:
                break
            at, id_ = rows[-1].place
            after = at.isoformat(), id_
        return page_of(found, limit, lambda each: each[0].place).told(lambda each: each[1])

    async def get(self, sync_id: str) -> tuple[SyncDocument, str]:
        """A sync, and its tag. Raises Declined (404)."""
        return await self._told(await self._entry(sync_id))

    async def seen(self, filters: SyncFilters, only: str | None = None) -> list[Seen]:
        """Every sync that fits, with all that is counted: for who looks at the whole. `only`
        the one of this id."""
        found: list[Seen] = []
        after, wanted, phase = None, _wanted(filters, only), filters.health
        while rows := await self._roster.page(wanted, after, _AT_ONCE):
            after = rows[-1].place
            there = await healths(self._office, [row.sync for row in rows])
            fits = [r for r in rows if phase in (None, overall(there[r.sync.id]))]
            documents = await self._standing.told(fits, there, counted=True)
            found += [
                Seen(row.sync, document, there[row.sync.id])
                for row, document in zip(fits, documents, strict=True)
            ]
        return found

    async def create(
        self, new: NewSync, narrated: Narrated = silently
    ) -> tuple[SyncDocument, str]:
        """Makes a sync with its tables, and tells it."""
        made = await self.making.make(new, narrated)
        return await self.get(made.id)

    async def change(
        self,
        sync_id: str,
        patch: SyncPatch,
        if_match: str | None = None,
        *,
        metadata: Metadata | None = None,
    ) -> tuple[SyncDocument, str]:
        """Applies a merge patch; `metadata` takes the place of what there is, nulls and all.
        Raises Declined, 412 if it is not what `if_match` names."""
        for _ in range(ATTEMPTS):
            entry = await self._entry(sync_id)
            provider = PROVIDERS[entry.sync.provider]
            covered = await self._covered(entry.sync)
            now = settable(entry, covered.ids(provider))
            require_match(etag_of(now), if_match)
            wanted = _patched(provider, now, patch)
            if metadata is not None:
                wanted = wanted.model_copy(update={"metadata": metadata})
            to = await self._decided(entry, wanted, covered, patch.model_fields_set)
            try:
                changed = await self._roster.change(entry, to)
            except Stale:
                continue
            if to.coming:  # what had been in the sync before has the table of then
                await self._office.registry.following.follow(sync_id, to.coming)
            return await self._told(changed)
        raise overtaken()

    async def delete(
        self, sync: Sync, *, drop_tables: bool, if_match: str | None = None
    ) -> None:
        """Ends a sync; its tables stay, unless they are to be dropped. Raises InUse;
        Declined, 412 if it is not what `if_match` names."""
        if if_match is not None:
            require_match((await self.get(sync.id))[1], if_match)
        await self.making.end(sync, drop_tables=drop_tables)

    async def _told(self, entry: Entry) -> tuple[SyncDocument, str]:
        document = await self._standing.one(entry)
        return document, tag_of(document, entry)

    async def _entry(self, sync_id: str) -> Entry:
        found = await self._roster.entry(sync_id)
        if found is None:
            raise unknown_sync(sync_id)
        return found

    async def _covered(self, sync: Sync) -> _Covered:
        layouts = await self._office.registry.following.layouts(sync.id)
        return _Covered(
            tuple(each.table.collection for each in layouts),
            frozenset(each.table.collection.id for each in layouts if each.removed),
        )

    async def _decided(
        self, entry: Entry, wanted: Settable, covered: _Covered, given: set[str]
    ) -> SyncChange:
        """What is to be done to a sync for it to be as it is wanted. Raises Declined."""
        sync, provider = entry.sync, PROVIDERS[entry.sync.provider]
        await self._require_credential(sync, wanted.credential_id)
        to = SyncChange(
            name=wanted.name,
            status=wanted.status,
            external_id=wanted.external_id,
            metadata=cast("Mapping[str, JsonValue]", wanted.metadata),
            rates=budgets(provider, wanted.rate_limits),
            credential_id=wanted.credential_id,
            covers_all=sync.covers_all,
        )
        if "collection_ids" not in given:
            return to
        asked = await self._asked_for(sync, wanted.collection_ids, covered)
        ids = {each.id for each in asked}
        known = {each.id for each in covered.collections}
        return replace(
            to,
            covers_all=wanted.collection_ids is None,
            coming=[each for each in asked if each.id not in known],
            leaving=[] if wanted.collection_ids is None else sorted(known - ids),
        )

    async def _asked_for(
        self, sync: Sync, ids: list[str] | None, covered: _Covered
    ) -> list[Collection]:
        """The collections of these ids, and what follows from them (pairs of HubSpot's
        types): the API is asked, but for what is gone there and stays for its rows."""
        provider = PROVIDERS[sync.provider]
        names = {
            spelling: each
            for each in covered.collections
            if each.id in covered.gone
            for spelling in (each.id, each.name, provider.handle(each.id, each.name))
        }
        spelled = spellings(provider, ids)
        kept = [names[spelling] for spelling in spelled if spelling in names]
        wanted = [spelling for spelling in spelled if spelling not in names]
        if ids is not None and not wanted:
            return kept
        token = await self._office.conversations.token_of(sync)
        found = await self._office.conversations.discover(provider, sync.account, token, wanted)
        return [*found, *kept]

    async def _require_credential(self, sync: Sync, wanted: str | None) -> None:
        """Raises Declined unless it is the sync's own credential, or one of its account."""
        if wanted == sync.credential_id:
            return
        if wanted is None:
            detail = "A sync's credential cannot be taken away; give it another one."
            raise Declined("bad_body", detail, "credential_id")
        found = await self._office.registry.credentials.get(wanted)
        if found is None:
            detail = "There is no such credential; GET /v1/credentials lists them."
            raise Declined("bad_body", detail, "credential_id")
        if (found.provider, found.account) != (sync.provider, sync.account):
            raise Declined(
                "other_account",
                f"The credential {found.id} is for {found.provider} {found.account}; this sync"
                f" is of {sync.provider} {sync.account}. Make a sync of its own for that one.",
                "credential_id",
            )


def _wanted(filters: SyncFilters, only: str | None) -> SyncFilter:
    """What the roster is asked for. Raises Declined: an empty list would hide what is
    mistyped."""
    if filters.provider is not None:
        provider_named(filters.provider, "provider")
    return SyncFilter(
        id=only,
        provider=filters.provider,
        name=filters.name,
        external_id=filters.external_id,
        status=filters.status,
        credential_id=filters.credential_id,
        metadata=read_metadata(filters.metadata),
        phase=None if filters.health is None else filters.health.value,
    )


def _patched(provider: Provider, now: Settable, patch: SyncPatch) -> Settable:
    """All that can be set, as the patch makes it. Raises Declined."""
    given = patch.model_dump(mode="json", exclude_unset=True)
    if "rate_limit" in given:
        main = provider.default_rates[0].name
        limits = given.get("rate_limits")
        if "rate_limits" in given and (limits is None or main in limits):
            detail = f"rate_limit and rate_limits.{main} are the same thing: give one of them."
            raise Declined("bad_body", detail, "rate_limit")
        given["rate_limits"] = {**(limits or {}), main: given.pop("rate_limit")}
    target = now.model_dump(mode="json")
    defaults = {rate.name: as_limit(rate) for rate in provider.default_rates}
    for name, limit in (given.get("rate_limits") or {}).items():
        if limit is not None and name in defaults:
            target["rate_limits"].setdefault(name, defaults[name].model_dump())
    merged = merge_patch(target, given)
    try:
        return Settable.model_validate(merged)
    except ValidationError as error:
        first = wrongs(error)[0]
        member, main = first.member, f"rate_limits.{provider.default_rates[0].name}"
        if patch.rate_limit is not None and member.startswith(main):
            member = "rate_limit" + member.removeprefix(main)  # as it was spelled
        detail = f"With this patch, {member} {first.detail}."
        raise Declined("bad_body", detail, member) from error
