"""`/v1/oauth-apps`: what providers know a product by when tokens are refreshed."""

from __future__ import annotations

from typing import Final

from httpproxy.api.operations import Answer, Ask, Listing, Operation
from httpproxy.management.credentials.oauth_apps import (
    NewOAuthApp,
    OAuthAppDocument,
    OAuthAppFilters,
    OAuthAppPatch,
    OAuthApps,
)

_TAG: Final = "OAuth apps"
_ONE: Final = "/v1/oauth-apps/{app_id}"


class ListOAuthApps(Listing, OAuthAppFilters):
    """The parameters of a list of apps."""


def _service(ask: Ask) -> OAuthApps:
    return ask.house.services.oauth_apps


async def list_(ask: Ask) -> Answer:
    """Oldest first."""
    asked: ListOAuthApps = ask.query
    return Answer.of_page(await _service(ask).page(asked, asked.limit, asked.cursor))


async def create(ask: Ask) -> Answer:
    """201 for a new client id; 200 if its secret was replaced."""
    body: NewOAuthApp = ask.body
    stored, made, tag = await _service(ask).create(body)
    where = {"Location": f"/v1/oauth-apps/{stored.id}"}
    return Answer(stored, status=201 if made else 200, headers=where, etag=tag)


async def get(ask: Ask) -> Answer:
    """By id or name."""
    found, tag = await _service(ask).get(ask.path["app_id"])
    return Answer(found, etag=tag)


async def change(ask: Ask) -> Answer:
    """A merge patch."""
    patch: OAuthAppPatch = ask.body
    changed, tag = await _service(ask).change(ask.path["app_id"], patch, ask.if_match)
    return Answer(changed, etag=tag)


async def delete(ask: Ask) -> Answer:
    """Not while credentials are refreshed by it."""
    await _service(ask).delete(ask.path["app_id"], ask.if_match)
    return Answer(status=204)


OPERATIONS: Final = (
    Operation(
        "GET",
        "/v1/oauth-apps",
        "read",
        list_,
        "List OAuth apps",
        tag=_TAG,
        query=ListOAuthApps,
        answer=list[OAuthAppDocument],
        problems=("unknown_provider",),
    ),
    Operation(
        "POST",
        "/v1/oauth-apps",
        "admin",
        create,
        "Store an OAuth app, or replace its secret",
        tag=_TAG,
        body=NewOAuthApp,
        answer=OAuthAppDocument,
        status=201,
        others={200: "The client id was known; its secret is this one now."},
        problems=("unknown_provider", "name_taken"),
    ),
    Operation(
        "GET",
        _ONE,
        "read",
        get,
        "Show an OAuth app",
        tag=_TAG,
        answer=OAuthAppDocument,
        problems=("unknown_oauth_app",),
    ),
    Operation(
        "PATCH",
        _ONE,
        "admin",
        change,
        "Change an OAuth app",
        tag=_TAG,
        body=OAuthAppPatch,
        answer=OAuthAppDocument,
        problems=("unknown_oauth_app", "name_taken", "changed_meanwhile", "secret_unreadable"),
    ),
    Operation(
        "DELETE",
        _ONE,
        "admin",
        delete,
        "Delete an OAuth app that no credential needs",
        tag=_TAG,
        status=204,
        problems=("unknown_oauth_app", "in_use"),
    ),
)
