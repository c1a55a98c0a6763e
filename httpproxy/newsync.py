"""Makes a sync: whose account is it, which collections has it, and a table for each.

The command line and the demo make theirs here.
"""

from __future__ import annotations

from dataclasses import dataclass

from httpproxy.service import Office
from httpproxy.store.registry import Sync
from providers.spec import Budget, Provider


@dataclass(frozen=True, slots=True)
class NewSync:
    """What a sync shall be.

    `account` None: the token tells. `collections` are spellings, () means all of them.
    `name` and `schema` None: made from provider and account.
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
    )
