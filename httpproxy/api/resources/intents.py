"""`/v1/intents`: calls under way, and in doubt."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from httpproxy.api.operations import Answer, Ask, Listing, Operation
from httpproxy.management.intents import IntentDocument


class Intents(Listing):
    """Which intents."""

    sync_id: str | None = Field(None, description="Of this sync, by id or name.")


async def list_(ask: Ask) -> Answer:
    """A key of one sync sees those of its sync."""
    asked: Intents = ask.query
    wanted = asked.sync_id or ask.key.sync_id
    sync = None if wanted is None else await ask.sync(wanted)
    service = ask.house.services.intents
    return Answer.of_page(await service.page(asked.limit, asked.cursor, sync))


OPERATIONS: Final = (
    Operation(
        "GET",
        "/v1/intents",
        "read",
        list_,
        "List the calls that are under way or in doubt",
        tag="syncs",
        description="A call is written down before it leaves, and crossed out once its answer"
        " is in the tables. Oldest first.",
        query=Intents,
        answer=list[IntentDocument],
        reach="sync",
        problems=("unknown_sync",),
    ),
)
