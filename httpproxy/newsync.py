"""Makes a sync: whose account is it, which collections has it, and a table for each.
And gives it another token.

The command line and the demo make theirs here.
"""

from __future__ import annotations

from dataclasses import dataclass

from httpproxy.service import Office
from httpproxy.store.registry import Sync
from providers.catalog import PROVIDERS
from providers.spec import Budget, Provider


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
