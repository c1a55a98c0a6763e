"""Credentials: stored, looked at, changed, checked at the API, ended.

Storing one is an upsert: an account of a provider has one credential, and storing another
replaces it under its id. Before anything is stored, the API is asked what the token opens.
Secrets go in and never come out again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from pydantic import TypeAdapter, ValidationError

from httpproxy.exchange.tokens.lifetimes import refresh_in
from httpproxy.exchange.tokens.refreshing import CredentialTrouble
from httpproxy.management.credentials.documents import (
    CheckedCredential,
    CredentialDocument,
    CredentialFilters,
    described,
    tag_of,
)
from httpproxy.management.credentials.entering import (
    APP,
    CredentialPatch,
    Entered,
    NewCredential,
    kind_of,
    named,
    read,
)
from httpproxy.management.credentials.inspecting import Check, account_of, failed, told
from httpproxy.management.models import Metadata, wrongs
from httpproxy.management.naming import is_id, provider_named
from httpproxy.management.paging import Page, made_of, page_of, read_metadata
from httpproxy.management.patching import ATTEMPTS, merge_patch, overtaken, require_match
from httpproxy.management.problems import Declined
from httpproxy.office import Office
from httpproxy.store.credentials.apps import Apps
from httpproxy.store.credentials.values import (
    Credential,
    CredentialDraft,
    CredentialFilter,
    NewTokens,
)
from httpproxy.store.errors import KeyMismatch, Stale
from providers.catalog import PROVIDERS
from providers.record import JSON
from providers.spec import Provider, Refused, Unrecognised

_METADATA: Final = TypeAdapter(Metadata)
_NAMED: Final = 50


@dataclass(frozen=True, slots=True)
class Prepared:
    """A credential that may be stored, and what the API said of it."""

    draft: CredentialDraft
    check: Check


class Credentials:
    """Manages credentials. Raises Declined; Refused, Unrecognised and Rejected where the API
    said no; Unavailable when the database is away."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._store = office.registry.credentials
        self._apps = Apps(office.database, office.vault)

    async def page(
        self, filters: CredentialFilters, limit: int, cursor: str | None
    ) -> Page[CredentialDocument]:
        """The credentials that fit, oldest first. Raises Declined for a provider or a kind that
        there is not."""
        if filters.kind is not None:
            kind_of(filters.kind, filters.provider)
        elif filters.provider is not None:
            provider_named(filters.provider, "provider")
        wanted = CredentialFilter(
            filters.provider,
            filters.account,
            filters.kind,
            filters.oauth_app_id,
            read_metadata(filters.metadata),
        )
        rows = await self._store.page(wanted, made_of(cursor), limit + 1)
        return page_of(rows, limit, lambda row: (row.created_at, row.id)).told(self._told)

    async def get(self, id_or_name: str) -> tuple[CredentialDocument, str]:
        """A credential, and its tag. Raises Declined (404)."""
        found = await self.found(id_or_name)
        return self._told(found), tag_of(found)

    async def create(self, body: NewCredential) -> tuple[CheckedCredential, bool, str]:
        """Stores a credential; it, whether its account had none, and its tag."""
        prepared = await self.prepare(body)
        stored, made = await self._store.save(prepared.draft)
        self._office.tokens.forget(stored.id)
        document = CheckedCredential(**dict(self._told(stored)), check=prepared.check)
        return document, made, tag_of(stored)

    async def prepare(
        self, body: NewCredential, *, account: str | None = None, provider: str | None = None
    ) -> Prepared:
        """Checks a credential by itself and at the API; nothing is stored.

        `account` and `provider` are what else is known of it: they have to agree.
        """
        if provider is not None and body.provider not in (None, provider):
            detail = f"The credential is of provider {body.provider[:60]!r}, not {provider}."
            raise Declined("bad_body", detail, "provider")
        api, kind = kind_of(body.kind, provider or body.provider)
        entered = await self._with_app(api, read(api, kind, named(body, kind)))
        if account is not None and entered.account not in (None, account):
            detail = f"The credential names another {api.account_property} than {account}."
            raise Declined("bad_body", detail, api.account_property)
        wanted = entered.account or account
        check, found = await self._inspected(api, entered.tokens.access_token, wanted)
        tokens = _new_tokens(entered, body.expires_in)
        draft = CredentialDraft(
            api.name,
            found,
            kind.name,
            tokens.tokens,
            body.name,
            body.metadata,
            entered.properties,
            entered.app_id,
            tokens.expires_in,
            tokens.refresh_in,
        )
        return Prepared(draft, check)

    async def change(
        self,
        id_or_name: str,
        patch: CredentialPatch,
        if_match: str | None = None,
        *,
        metadata: Metadata | None = None,
    ) -> tuple[CredentialDocument, str]:
        """Applies a merge patch; `metadata` takes the place of what there is, nulls and all.
        Another token is looked at first: it has to open the same account. Raises Declined,
        412 if it is not what `if_match` names."""
        for _ in range(ATTEMPTS):
            known = await self.found(id_or_name)
            require_match(tag_of(known), if_match)
            changed, tokens = await self._patched(known, patch)
            if metadata is not None:
                changed = replace(changed, metadata=metadata)
            if changed == known and tokens is None:  # nothing that an ETag should tell of
                return self._told(known), tag_of(known)
            try:
                stored = await self._store.change(changed, tokens)
            except Stale:
                continue
            self._office.tokens.forget(stored.id)
            return self._told(stored), tag_of(stored)
        raise overtaken()

    async def delete(self, id_or_name: str, if_match: str | None = None) -> None:
        """Forgets a credential. Raises Declined: 409 while syncs use it, 412 if it is not what
        `if_match` names."""
        found = await self.found(id_or_name)
        require_match(tag_of(found), if_match)
        if await self._store.delete(found.id):
            return
        users = await self._store.users(found.id, _NAMED)
        if users:
            names = ", ".join(name for _, name in users[:10])
            more = len(users) - 10
            raise Declined(
                "in_use",
                f"Syncs use this credential: {names}{f' and {more} more' if more > 0 else ''}."
                " Delete them, or give them another one, first.",
                syncs=[{"id": id_, "name": name} for id_, name in users],
            )

    async def check(self, id_or_name: str) -> Check:
        """Asks the API what a stored credential may do now. That it may nothing is an answer,
        too. Raises Rejected if the API cannot be reached."""
        found = await self.found(id_or_name)
        provider = PROVIDERS[found.provider]
        try:
            token = await self._office.tokens.current(found.id)
            said = await self._office.conversations.inspect(provider, token, found.account)
        except CredentialTrouble as error:
            return failed(f"{error.detail} {error.remedy}")
        except Unrecognised:
            return failed(
                f"{provider.title} does not know the token: it is mistyped, expired or"
                " revoked. Give the credential a valid one."
            )
        except Refused as no:
            return failed(str(no))
        lost = said.account != found.account
        if lost and not any(lack.required for lack in said.missing):
            return told(said, f"The token does not reach {found.account} any more.")
        return told(said)

    def _told(self, found: Credential) -> CredentialDocument:
        try:
            tokens = self._store.open(found)
        except KeyMismatch:  # of no use, and no reason not to list it
            tokens = None
        return described(found, tokens)

    async def token(self, found: Credential) -> str:
        """A credential's access token, as it is good now. Raises Declined if there is none."""
        try:
            return await self._office.tokens.current(found.id)
        except CredentialTrouble as error:
            raise Declined("credential_refused", f"{error.detail} {error.remedy}") from error

    async def found(self, id_or_name: str) -> Credential:
        """The credential of this id or name, as it is kept. Raises Declined (404)."""
        found = await self._store.get(id_or_name) if is_id(id_or_name) else None
        if found is None:
            detail = (
                f"There is no credential {id_or_name[:80]!r}; GET /v1/credentials lists them."
            )
            raise Declined("unknown_credential", detail)
        return found

    async def _with_app(self, provider: Provider, entered: Entered) -> Entered:
        """What was entered, with the id of the app that is named. Raises Declined."""
        if entered.app_id is None:
            return entered
        app = await self._apps.get(entered.app_id)
        if app is None:
            detail = "There is no OAuth app of this id or name; GET /v1/oauth-apps lists them."
            raise Declined("bad_body", detail, APP)
        if app.provider != provider.name:
            detail = f"The OAuth app {app.id} is of {app.provider}, not of {provider.name}."
            raise Declined("bad_body", detail, APP)
        return replace(entered, app_id=app.id)

    async def _inspected(
        self, provider: Provider, token: str, account: str | None
    ) -> tuple[Check, str]:
        """What the API says of a token, and which account it is for. Raises Declined."""
        said = await self._office.conversations.inspect(provider, token, account)
        return told(said), account_of(provider, said, account)

    async def _patched(
        self, known: Credential, patch: CredentialPatch
    ) -> tuple[Credential, NewTokens | None]:
        """The credential as the patch makes it, and its tokens if they are other ones."""
        provider, kind = kind_of(known.kind, known.provider)
        given = patch.model_fields_set
        entering = named(patch, kind)
        has = self._store.open(known)
        values: dict[str, str | None] = {
            **{name: str(value) for name, value in known.properties.items()},
            "access_token": has.access_token,
            "refresh_token": has.refresh_token,
            APP: known.app_id,
            provider.account_property: known.account,
        }
        entered = await self._with_app(provider, read(provider, kind, values | entering))
        if entered.account not in (None, known.account):
            raise _other_account(provider, known.account, provider.account_property)
        if entered.tokens.access_token != has.access_token:
            token = entered.tokens.access_token
            said = await self._office.conversations.inspect(provider, token, known.account)
            if account_of(provider, said, known.account) != known.account:
                raise _other_account(provider, known.account, "access_token")
        renews = "expires_in" in given or entered.tokens != has
        return replace(
            known,
            name=patch.name if "name" in given else known.name,
            metadata=_merged(known, patch) if "metadata" in given else known.metadata,
            properties=dict(entered.properties),
            app_id=entered.app_id,
        ), _new_tokens(entered, patch.expires_in) if renews else None


def _new_tokens(entered: Entered, expires_in: float | None) -> NewTokens:
    due = None if entered.tokens.refresh_token is None else refresh_in(expires_in)
    return NewTokens(entered.tokens, expires_in, due)


def _merged(known: Credential, patch: CredentialPatch) -> dict[str, JSON]:
    """The metadata with the patch applied; together it may be no larger than alone."""
    if patch.metadata is None:
        return {}
    merged = merge_patch(dict(known.metadata), dict(patch.metadata))
    try:
        return _METADATA.validate_python(merged)
    except ValidationError as error:
        raise Declined(
            "bad_body", f"metadata {wrongs(error)[0].detail}.", "metadata"
        ) from error


def _other_account(provider: Provider, account: str, member: str) -> Declined:
    return Declined(
        "other_account",
        f"This credential is for {account}. Store one for another account of"
        f" {provider.title} with POST /v1/credentials.",
        member,
    )
