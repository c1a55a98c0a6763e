"""What the API says of a token, as a document: whose it is, and what it may not do.

Pure: what was found is the provider's business (`Provider.inspect`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from httpproxy.management.models import Model
from httpproxy.management.problems import Declined
from providers.credentials import Inspection
from providers.spec import Provider

_NAMED: Final = 50


class Account(Model):
    """An account that a token reaches."""

    id: str
    name: str


class MissingScope(Model):
    """A scope that a token lacks. `required`: nothing can be synced without it."""

    scope: str
    needed_for: str
    required: bool


class Check(Model):
    """What the API said of a credential, just now.

    `ok`: nothing that is required is missing; else `trouble` says what is, and what to do.
    `scopes` are null where the API does not tell them.
    """

    ok: bool
    trouble: str | None
    account: str | None
    accounts: list[Account]
    user: str | None
    scopes: list[str] | None
    missing: list[MissingScope]


def account_of(provider: Provider, said: Inspection, wanted: str | None) -> str:
    """The account that a token is for. Raises Declined, which lists those that it reaches."""
    if said.account is not None and wanted in (None, said.account):
        return said.account
    member = provider.account_property
    needed = [lack for lack in said.missing if lack.required]
    if needed and said.account is None:
        scopes = ", ".join(lack.scope for lack in needed)
        raise Declined(
            "scope_missing",
            f"The token lacks {scopes}: needed for {needed[0].needed_for}.",
            "access_token",
            missing=[each.model_dump() for each in _lacks(said)],
        )
    reached = [{"id": each.id, "name": each.name} for each in said.accounts[:_NAMED]]
    names = ", ".join(f"{each['id']} ({each['name']})" for each in reached) or "none"
    if wanted is not None:
        raise Declined(
            "other_account",
            f"The token does not reach {wanted[:80]!r}; it reaches: {names}.",
            member,
            accounts=reached,
        )
    raise Declined(
        "account_missing",
        f"Say by {member} which account it is for; the token reaches: {names}.",
        member,
        accounts=reached,
    )


def _lacks(said: Inspection) -> Sequence[MissingScope]:
    return [
        MissingScope(scope=each.scope, needed_for=each.needed_for, required=each.required)
        for each in said.missing
    ]


def told(said: Inspection, trouble: str | None = None) -> Check:
    """The document; `trouble` is what else is wrong."""
    needed = [f"{each.scope} ({each.needed_for})" for each in said.missing if each.required]
    if needed:
        trouble = f"The token lacks {', '.join(needed)}. Give it what is missing."
    return Check(
        ok=trouble is None,
        trouble=trouble,
        account=said.account,
        accounts=[Account(id=each.id, name=each.name) for each in said.accounts],
        user=said.user,
        scopes=None if said.scopes is None else list(said.scopes),
        missing=list(_lacks(said)),
    )


def failed(trouble: str) -> Check:
    """That the API knows nothing good of it."""
    return Check(
        ok=False, trouble=trouble, account=None, accounts=[], user=None, scopes=None, missing=[]
    )
