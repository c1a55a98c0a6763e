"""`/v1/syncs`: made, listed, looked at, changed, deleted."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from httpproxy.api.operations import Answer, Ask, Listing, Operation
from httpproxy.api.problems import unknown_token
from httpproxy.management.models import Model
from httpproxy.management.problems import Declined
from httpproxy.management.syncs.documents import NewSync, SyncDocument, SyncFilters, SyncPatch
from httpproxy.management.syncs.service import Syncs
from httpproxy.store.errors import NameTaken
from providers.spec import Unrecognised

_TAG: Final = "syncs"
_ONE: Final = "/v1/syncs/{sync_id}"
_ASKED: Final = (
    "unknown_collection",
    "credential_refused",
    "api_refused",
    "api_unreachable",
    "other_account",
)


class ListSyncs(Listing, SyncFilters):
    """The parameters of a list of syncs."""


class DeleteSync(Model):
    """What becomes of the tables."""

    drop_tables: bool = Field(False, description="Drop its tables with every row as well.")


def _service(ask: Ask) -> Syncs:
    return ask.house.services.syncs


async def list_(ask: Ask) -> Answer:
    """Oldest first; a key of one sync sees that one."""
    asked: ListSyncs = ask.query
    page = _service(ask).page(asked, asked.limit, asked.cursor, ask.key.sync_id)
    return Answer.of_page(await page)


async def create(ask: Ask) -> Answer:
    """All of it, or nothing."""
    body: NewSync = ask.body
    try:
        made, tag = await _service(ask).create(body)
    except NameTaken as taken:
        if taken.field == "schema_name":  # which is called otherwise here
            detail = (
                f"The schema {taken.value!r} is another sync's, reserved, or longer than the"
                " 63 bytes that Postgres takes; choose another."
            )
            raise Declined("name_taken", detail, "schema") from taken
        raise
    except Unrecognised as error:
        given = "credential_id" if body.credential is None else "credential.access_token"
        raise unknown_token(given) from error
    return Answer(made, headers={"Location": f"/v1/syncs/{made.id}"}, etag=tag)


async def get(ask: Ask) -> Answer:
    """By id or name."""
    sync = await ask.sync(ask.path["sync_id"])
    found, tag = await _service(ask).get(sync.id)
    return Answer(found, etag=tag)


async def change(ask: Ask) -> Answer:
    """A merge patch."""
    sync = await ask.sync(ask.path["sync_id"])
    patch: SyncPatch = ask.body
    if ask.key.sync_id is not None and patch.credential_id not in (None, sync.credential_id):
        detail = "The API key is for one sync: it cannot choose among the credentials of all."
        raise Declined("key_not_allowed", detail, "credential_id")
    changed, tag = await _service(ask).change(sync.id, patch, ask.if_match)
    return Answer(changed, etag=tag)


async def delete(ask: Ask) -> Answer:
    """Its API root ends working; nothing is deleted at the API."""
    wish: DeleteSync = ask.query
    sync = await ask.sync(ask.path["sync_id"])
    await _service(ask).delete(sync, drop_tables=wish.drop_tables, if_match=ask.if_match)
    return Answer(status=204)


OPERATIONS: Final = (
    Operation(
        "GET",
        "/v1/syncs",
        "read",
        list_,
        "List syncs",
        tag=_TAG,
        description="What has to be counted (rows, marks, requests) is null in lists.",
        query=ListSyncs,
        answer=list[SyncDocument],
        reach="sync",
        problems=("unknown_provider",),
    ),
    Operation(
        "POST",
        "/v1/syncs",
        "admin",
        create,
        "Make a sync",
        tag=_TAG,
        description="Discovers the collections at the API and makes a table for each. If"
        " anything fails, neither a sync nor its credential stays.",
        body=NewSync,
        answer=SyncDocument,
        status=201,
        problems=(
            "unknown_provider",
            "unknown_kind",
            "account_missing",
            "scope_missing",
            "name_taken",
            "secret_unreadable",
            *_ASKED,
        ),
    ),
    Operation(
        "GET",
        _ONE,
        "read",
        get,
        "Show a sync",
        tag=_TAG,
        answer=SyncDocument,
        reach="sync",
        problems=("unknown_sync",),
    ),
    Operation(
        "PATCH",
        _ONE,
        "admin",
        change,
        "Change a sync",
        tag=_TAG,
        description="What is not named stays. Collections that are new get a table; those that"
        " are left out are no longer synced and keep theirs, and take it up again if they come"
        " back. Pairs of HubSpot's types follow the types.",
        body=SyncPatch,
        answer=SyncDocument,
        reach="sync",
        problems=(
            "unknown_sync",
            "name_taken",
            "changed_meanwhile",
            "secret_unreadable",
            *_ASKED,
        ),
    ),
    Operation(
        "DELETE",
        _ONE,
        "admin",
        delete,
        "Delete a sync",
        tag=_TAG,
        description="Its API root ends working. Its tables stay, unless they are to be"
        " dropped; a credential that was made with it goes with the last sync that uses it.",
        query=DeleteSync,
        status=204,
        reach="sync",
        problems=("unknown_sync", "in_use"),
    ),
)
