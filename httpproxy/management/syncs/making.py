"""A sync is made, given another token, ended.

Nothing is made half: what the API has to be asked is asked first, and then the sync, its
tables and a credential that comes with it are one transaction. A sync is ended in the
database first, so that nobody opens anew at the API what is closed there afterwards.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from httpproxy.exchange.conversations import Principal
from httpproxy.exchange.directory.allotment import Allotment
from httpproxy.exchange.directory.apis import APIS
from httpproxy.exchange.problems import Rejected
from httpproxy.management.credentials.service import Credentials
from httpproxy.management.models import RateLimit
from httpproxy.management.naming import provider_named, spelling_of
from httpproxy.management.problems import Declined
from httpproxy.management.syncs.documents import NewSync
from httpproxy.office import Office
from httpproxy.store.credentials.values import CredentialDraft
from httpproxy.store.errors import NameTaken, StoreError
from httpproxy.store.registry import Sync, SyncDraft
from httpproxy.store.roster import Roster, SyncFilter
from providers.catalog import PROVIDERS
from providers.record import JSON
from providers.spec import Budget, Feed, Provider, Refused

log = logging.getLogger(__name__)

GOODBYE_SECONDS: Final = 10.0

Narrated = Callable[[Provider], Provider]
"""The same provider, whose discoveries tell somebody how far they are."""


def silently(provider: Provider) -> Provider:
    """Nobody waits to be told."""
    return provider


@dataclass(frozen=True, slots=True)
class _Opened:
    """What opens the account: the id of a credential that is stored, or one that is to be."""

    account: str
    token: str
    credential: str | CredentialDraft


class Making:
    """Makes and ends syncs. Raises Declined; Refused, Unrecognised, UnknownCollection and
    Rejected where the API said no; NameTaken, InUse; Unavailable."""

    def __init__(self, office: Office, credentials: Credentials) -> None:
        self._office = office
        self._credentials = credentials
        self._roster = Roster(office.database)

    async def make(self, new: NewSync, narrated: Narrated = silently) -> Sync:
        """Discovers what is wanted and makes the sync with its tables."""
        provider = provider_named(new.provider, "provider")
        _require_one_credential(new)
        rates = budgets(provider, {**_main(provider, new), **(new.rate_limits or {})})
        spelled = spellings(provider, new.collection_ids)
        opened = await self._opened(provider, new)
        name = new.name or f"{provider.name}-{opened.account.lower()}"
        await self._require_free(name, new.external_id)
        found = await self._office.conversations.discover(
            narrated(provider), opened.account, opened.token, spelled
        )
        return await self._office.registry.create_sync(
            SyncDraft(
                provider=provider.name,
                name=name,
                account=opened.account,
                credential=opened.credential,
                rates=rates,
                collections=found,
                schema_name=new.schema_,
                covers_all=new.collection_ids is None,
                status=new.status,
                external_id=new.external_id,
                metadata=new.metadata,
            )
        )

    async def _opened(self, provider: Provider, new: NewSync) -> _Opened:
        if new.credential is not None:
            try:
                prepared = await self._credentials.prepare(
                    new.credential, account=new.account, provider=provider.name
                )
            except Declined as declined:
                raise _within("credential", declined) from declined
            draft = replace(prepared.draft, implicit=True)
            return _Opened(draft.account, draft.tokens.access_token, draft)
        stored = await self._office.registry.credentials.get(new.credential_id or "")
        if stored is None:
            detail = "There is no such credential; GET /v1/credentials lists them."
            raise Declined("bad_body", detail, "credential_id")
        if stored.provider != provider.name:
            detail = f"The credential {stored.id} is of {stored.provider}, not {provider.name}."
            raise Declined("bad_body", detail, "credential_id")
        if new.account not in (None, stored.account):
            detail = f"The credential {stored.id} is for the account {stored.account}."
            raise Declined("bad_body", detail, "account")
        token = await self._office.tokens.current(stored.id)
        return _Opened(stored.account, token, stored.id)

    async def _require_free(self, name: str, external_id: str | None) -> None:
        """Tells a name that is taken before the API is asked for minutes. Raises NameTaken."""
        if await self._roster.page(SyncFilter(name=name), None, 1):
            raise NameTaken("name", name)
        if external_id is not None:
            taken = await self._roster.page(SyncFilter(external_id=external_id), None, 1)
            if taken:
                raise NameTaken("external_id", external_id)

    async def replace_token(self, sync: Sync, token: str) -> None:
        """Gives a sync another token, after a look that it opens the sync's account and all
        of its collections."""
        provider, conversations = PROVIDERS[sync.provider], self._office.conversations
        account = await conversations.identify(provider, token) or sync.account
        if account != sync.account:
            raise Declined(
                "other_account",
                f"the token is of account {account}; this sync's is {sync.account}."
                " Make a sync of its own for that account",
            )
        known = (await self._office.registry.tables(sync)).schema.collections
        wanted = [collection.id for collection in known]
        await conversations.discover(provider, account, token, wanted)
        await self._office.registry.replace_secret(sync, token)

    async def end(self, sync: Sync, *, drop_tables: bool) -> None:
        """Deletes a sync; what it opened at the API is closed, if the API lets us."""
        provider, registry = PROVIDERS[sync.provider], self._office.registry
        collections = (await registry.tables(sync)).schema.collections
        token = await self._token(sync)
        left = await registry.delete_sync(sync, drop_tables=drop_tables)
        feeds = {feed.name: feed for feed in provider.feeds(collections)}
        open_ = [(feeds[name], state) for name, state in left if name in feeds]
        if open_ and token is not None:
            await self._hang_up(sync, token, open_)

    async def _token(self, sync: Sync) -> str | None:
        """The sync's token, asked for while it has one."""
        try:
            return await self._office.conversations.token_of(sync)
        except (Rejected, Refused, StoreError, LookupError) as error:
            log.warning("sync %s: nothing can be closed at the API: %s", sync.name, error)
            return None

    async def _hang_up(
        self, sync: Sync, token: str, open_: Sequence[tuple[Feed, JSON]]
    ) -> None:
        """Tells the API that nobody listens to the sync's feeds any more. Never in the way."""
        provider, office = PROVIDERS[sync.provider], self._office
        api = APIS[provider.name]
        allotment = Allotment(api, sync.account, office.limiter, sync.rates, f"end {sync.id}")
        principal = Principal(allotment, token)
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                for feed, state in open_:
                    await office.conversations.converse_as(
                        principal, provider.hang_up(feed, state)
                    )
        except (Refused, Rejected, TimeoutError) as error:
            log.warning("sync %s: what it opened at the API stays: %s", sync.name, error)
        finally:
            allotment.give_back()


def spellings(provider: Provider, ids: Sequence[str] | None) -> tuple[str, ...]:
    """What the API may call these collections; () for None: all that there are."""
    return tuple(
        spelling_of(provider, text, f"collection_ids[{n}]") for n, text in enumerate(ids or ())
    )


def budgets(provider: Provider, limits: Mapping[str, RateLimit]) -> tuple[Budget, ...]:
    """Rate limits by the names of budgets, as the lanes have them. Raises Declined for a
    budget that the provider does not have."""
    known = {budget.name for budget in (*provider.budgets, *provider.default_rates)}
    for name in limits:
        if name not in known:
            detail = f"{provider.title} has no budget {name[:40]!r}; it has: "
            raise Declined(
                "bad_body", f"{detail}{', '.join(sorted(known))}.", f"rate_limits.{name[:40]}"
            )
    return tuple(
        Budget(name, each.allowed_requests, each.interval, each.max_concurrent_requests)
        for name, each in limits.items()
    )


def _main(provider: Provider, new: NewSync) -> dict[str, RateLimit]:
    """`rate_limit` is another spelling of the main budget's. Raises Declined if both are
    given and differ."""
    if new.rate_limit is None:
        return {}
    main = provider.default_rates[0].name
    if (new.rate_limits or {}).get(main, new.rate_limit) != new.rate_limit:
        detail = f"rate_limit and rate_limits.{main} are the same thing, and differ here."
        raise Declined("bad_body", detail, "rate_limit")
    return {main: new.rate_limit}


def _require_one_credential(new: NewSync) -> None:
    """Raises Declined."""
    if new.credential is None and new.credential_id is None:
        detail = "credential is missing: give one, or the credential_id of one that is stored."
        raise Declined("bad_body", detail, "credential")
    if new.credential is not None and new.credential_id is not None:
        detail = "Give either a credential or a credential_id."
        raise Declined("bad_body", detail, "credential_id")


def _within(member: str, declined: Declined) -> Declined:
    """The same, of a member of a document within another."""
    members = dict(declined.members)
    inner = members.pop("member", None)
    return Declined(
        declined.code, declined.detail, f"{member}.{inner}" if inner else member, **members
    )
