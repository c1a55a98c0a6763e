"""`/v1/credentials`, and `/v1/providers`, which says what they are made of."""

from __future__ import annotations

from typing import Final

from httpproxy.api.operations import Answer, Ask, Listing, Operation
from httpproxy.api.problems import unknown_token
from httpproxy.management.credentials.documents import (
    CheckedCredential,
    CredentialDocument,
    CredentialFilters,
)
from httpproxy.management.credentials.entering import CredentialPatch, NewCredential
from httpproxy.management.credentials.inspecting import Check
from httpproxy.management.credentials.service import Credentials
from httpproxy.management.providers import ProviderDocument, providers
from providers.spec import Unrecognised

_TAG: Final = "credentials"
_ASKED: Final = ("credential_refused", "api_refused", "api_unreachable", "other_account")


class ListCredentials(Listing, CredentialFilters):
    """The parameters of a list of credentials."""


def _service(ask: Ask) -> Credentials:
    return ask.house.services.credentials


async def list_providers(_: Ask) -> Answer:
    """They are few: the list has one page."""
    return Answer.of_page(providers())


async def list_(ask: Ask) -> Answer:
    """Oldest first."""
    asked: ListCredentials = ask.query
    return Answer.of_page(await _service(ask).page(asked, asked.limit, asked.cursor))


async def create(ask: Ask) -> Answer:
    """201 for an account's first one; 200 if it replaces the one that there was."""
    body: NewCredential = ask.body
    try:
        stored, made, tag = await _service(ask).create(body)
    except Unrecognised as error:
        raise unknown_token("access_token") from error
    where = {"Location": f"/v1/credentials/{stored.id}"}
    return Answer(stored, status=201 if made else 200, headers=where, etag=tag)


async def get(ask: Ask) -> Answer:
    """By id or name."""
    found, tag = await _service(ask).get(ask.path["credential_id"])
    return Answer(found, etag=tag)


async def change(ask: Ask) -> Answer:
    """A merge patch."""
    patch: CredentialPatch = ask.body
    wanted = ask.path["credential_id"]
    try:
        changed, tag = await _service(ask).change(wanted, patch, ask.if_match)
    except Unrecognised as error:
        raise unknown_token("access_token") from error
    return Answer(changed, etag=tag)


async def delete(ask: Ask) -> Answer:
    """Not while syncs use it."""
    await _service(ask).delete(ask.path["credential_id"], ask.if_match)
    return Answer(status=204)


async def check(ask: Ask) -> Answer:
    """Asks the API; that the credential is worth nothing is an answer, too."""
    return Answer(await _service(ask).check(ask.path["credential_id"]))


_ONE: Final = "/v1/credentials/{credential_id}"

OPERATIONS: Final = (
    Operation(
        "GET",
        "/v1/providers",
        "read",
        list_providers,
        "List the providers and their kinds of credentials",
        tag=_TAG,
        answer=list[ProviderDocument],
        reach="sync",
    ),
    Operation(
        "GET",
        "/v1/credentials",
        "read",
        list_,
        "List credentials",
        tag=_TAG,
        query=ListCredentials,
        answer=list[CredentialDocument],
        problems=("unknown_provider", "unknown_kind"),
    ),
    Operation(
        "POST",
        "/v1/credentials",
        "admin",
        create,
        "Store a credential, or replace its account's",
        tag=_TAG,
        description="The API is asked what the token opens before anything is stored.",
        body=NewCredential,
        answer=CheckedCredential,
        status=201,
        others={200: "It replaced the one that the account had, under its id."},
        problems=(
            "unknown_provider",
            "unknown_kind",
            "account_missing",
            "name_taken",
            "scope_missing",
            *_ASKED,
        ),
    ),
    Operation(
        "GET",
        _ONE,
        "read",
        get,
        "Show a credential",
        tag=_TAG,
        answer=CredentialDocument,
        problems=("unknown_credential",),
    ),
    Operation(
        "PATCH",
        _ONE,
        "admin",
        change,
        "Change a credential, or give it another token",
        tag=_TAG,
        body=CredentialPatch,
        answer=CredentialDocument,
        problems=(
            "unknown_credential",
            "name_taken",
            "changed_meanwhile",
            "scope_missing",
            "secret_unreadable",
            *_ASKED,
        ),
    ),
    Operation(
        "DELETE",
        _ONE,
        "admin",
        delete,
        "Delete a credential that no sync uses",
        tag=_TAG,
        status=204,
        problems=("unknown_credential", "in_use"),
    ),
    Operation(
        "POST",
        f"{_ONE}/check",
        "write",
        check,
        "Ask the API what a credential may do now",
        tag=_TAG,
        description="Spends calls of the account's rate limit, and refreshes a token that is at"
        " its end. What the API says is told, and not stored.",
        answer=Check,
        problems=("unknown_credential", "api_unreachable", "secret_unreadable"),
    ),
)
