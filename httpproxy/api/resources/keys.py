"""`/v1/keys`: API keys make API keys, none that could do more than they can."""

from __future__ import annotations

from typing import Final

from httpproxy.api.operations import Answer, Ask, Listing, Operation
from httpproxy.management.keys import ApiKeys, KeyDocument, MadeKey, NewKey

_TAG: Final = "API keys"
_ONE: Final = "/v1/keys/{key_id}"


def _service(ask: Ask) -> ApiKeys:
    return ask.house.services.keys


async def list_(ask: Ask) -> Answer:
    """Oldest first; a key of one sync sees those of its sync."""
    asked: Listing = ask.query
    return Answer.of_page(await _service(ask).page(asked.limit, asked.cursor, ask.key))


async def create(ask: Ask) -> Answer:
    """The answer is the only place where the key's text ever stands."""
    body: NewKey = ask.body
    made = await _service(ask).create(body, ask.key)
    return Answer(made, headers={"Location": f"/v1/keys/{made.id}"})


async def get(ask: Ask) -> Answer:
    """By id or name."""
    return Answer(await _service(ask).get(ask.path["key_id"], ask.key))


async def revoke(ask: Ask) -> Answer:
    """The key stays in the list, as revoked."""
    return Answer(await _service(ask).revoke(ask.path["key_id"], ask.key))


OPERATIONS: Final = (
    Operation(
        "GET",
        "/v1/keys",
        "admin",
        list_,
        "List API keys",
        tag=_TAG,
        query=Listing,
        answer=list[KeyDocument],
        reach="sync",
    ),
    Operation(
        "POST",
        "/v1/keys",
        "admin",
        create,
        "Make an API key",
        tag=_TAG,
        body=NewKey,
        answer=MadeKey,
        status=201,
        reach="sync",
        problems=("name_taken",),
    ),
    Operation(
        "GET",
        _ONE,
        "admin",
        get,
        "Show an API key",
        tag=_TAG,
        answer=KeyDocument,
        reach="sync",
        problems=("unknown_key",),
    ),
    Operation(
        "DELETE",
        _ONE,
        "admin",
        revoke,
        "Revoke an API key",
        tag=_TAG,
        answer=KeyDocument,
        reach="sync",
        problems=("unknown_key",),
    ),
)
