"""`/v1/collections/{credential_id}`: what a credential reaches, as it was discovered."""

from __future__ import annotations

from typing import Final

from httpproxy.api.operations import Answer, Ask, Listing, Operation
from httpproxy.management.collections import CollectionDocument
from httpproxy.management.paging import DEFAULT_LIMIT

_TAG: Final = "collections"
_PROBLEMS: Final = (
    "unknown_credential",
    "credential_refused",
    "api_refused",
    "api_unreachable",
    "secret_unreadable",
)


async def list_(ask: Ask) -> Answer:
    """From what is kept; the first time, the API is asked."""
    asked: Listing = ask.query
    service, credential = ask.house.services.collections, ask.path["credential_id"]
    return Answer.of_page(await service.page(credential, asked.limit, asked.cursor))


async def refresh(ask: Ask) -> Answer:
    """The first page of what there is now; the next ones are those of the list."""
    credential = ask.path["credential_id"]
    page = await ask.house.services.collections.refresh(credential, DEFAULT_LIMIT)
    return Answer(page.items)


OPERATIONS: Final = (
    Operation(
        "GET",
        "/v1/collections/{credential_id}",
        "read",
        list_,
        "List the collections that a credential reaches, with their fields",
        tag=_TAG,
        query=Listing,
        answer=list[CollectionDocument],
        problems=_PROBLEMS,
    ),
    Operation(
        "POST",
        "/v1/collections/{credential_id}/refresh",
        "write",
        refresh,
        "Discover the collections anew, and let the tables follow",
        tag=_TAG,
        answer=list[CollectionDocument],
        problems=_PROBLEMS,
    ),
)
