"""A sync's life: made, given another token, ended.

The command line and the demo do it here; the steps are the registry's, and what the API
has to be asked or told for them is added.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from httpproxy.exchange.allotment import Allotment
from httpproxy.exchange.apis import APIS
from httpproxy.exchange.live import Live
from httpproxy.exchange.problems import Rejected
from httpproxy.office import Office
from httpproxy.store.errors import StoreError
from httpproxy.store.registry import Sync
from providers.catalog import PROVIDERS
from providers.spec import Budget, Provider, Refused

log = logging.getLogger(__name__)

GOODBYE_SECONDS: Final = 10.0


class OtherAccount(Exception):
    """A token opens another account than the one it was given for."""

    def __init__(self, found: str, wanted: str) -> None:
        super().__init__(f"the token is of account {found}; this sync's is {wanted}")


@dataclass(frozen=True, slots=True)
class NewSync:
    """What a sync shall be.

    `account` None: the token tells. `collections` are spellings, () means all of them.
    `rates` are ceilings that the user sets; a budget that is not among them follows the
    provider's default and what the API's answers state. `name` and `schema` None: made
    from provider and account.
    """

    provider: Provider
    account: str | None
    collections: tuple[str, ...]
    credential_kind: str
    rates: tuple[Budget, ...]
    name: str | None = None
    schema: str | None = None


async def create_sync(office: Office, wanted: NewSync, token: str) -> Sync:
    """Discover what is wanted and make the sync with its tables.

    Raises Unrecognised, Refused, UnknownCollection, Rejected, NameTaken.
    """
    provider = wanted.provider
    account = wanted.account or await office.calls.identify(provider, token)
    if account is None:
        raise LookupError(f"{provider.name} names no account, in an option or by its token")
    collections = await office.calls.discover(provider, account, token, wanted.collections)
    return await office.registry.create_sync(
        provider=provider.name,
        name=wanted.name or f"{provider.name}-{account.lower()}",
        account=account,
        schema_name=wanted.schema,
        credential_kind=wanted.credential_kind,
        secret=token,
        rates=wanted.rates,
        collections=collections,
        covers_all=not wanted.collections,
    )


async def replace_token(office: Office, sync: Sync, token: str) -> None:
    """Gives a sync another token, after a look that it opens the sync's account.

    Raises Unrecognised, Refused, UnknownCollection, Rejected, OtherAccount.
    """
    provider = PROVIDERS[sync.provider]
    account = await office.calls.identify(provider, token) or sync.account
    if account != sync.account:
        raise OtherAccount(account, sync.account)
    known = (await office.registry.tables(sync)).schema.collections
    wanted = [collection.id for collection in known]
    await office.calls.discover(provider, account, token, wanted)
    await office.registry.replace_secret(sync, token)


async def end_sync(office: Office, sync: Sync, *, drop_tables: bool) -> None:
    """Deletes a sync; what it opened at the API is closed, if the API lets us.

    Raises InUse, and OSError if the database is away.
    """
    await _hang_up(office, sync)
    await office.registry.delete_sync(sync, drop_tables=drop_tables)


async def _hang_up(office: Office, sync: Sync) -> None:
    """Tells the API that nobody listens to the sync's feeds any more. Never in the way."""
    provider = PROVIDERS[sync.provider]
    allotment = Allotment(
        APIS[provider.name], sync.account, office.limiter, sync.rates, sync.id
    )
    live = Live(sync, allotment)
    tables = await office.registry.tables(sync)
    feeds = {feed.name: feed for feed in provider.feeds(tables.schema.collections)}
    try:
        async with asyncio.timeout(GOODBYE_SECONDS):
            for name, state in await office.progress.forget_feeds(sync.id):
                if name in feeds:
                    await office.calls.converse(live, provider.hang_up(feeds[name], state))
    except (Refused, Rejected, StoreError, LookupError, TimeoutError) as error:
        log.warning("sync %s: what it opened at the API stays a while: %s", sync.name, error)
    finally:
        allotment.give_back()
