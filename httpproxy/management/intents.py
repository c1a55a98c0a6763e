"""Calls under way, and calls of which nobody knows yet what became."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from httpproxy.management.models import Model, Moment
from httpproxy.management.paging import Page, made_of, no_cursor, page_of
from httpproxy.office import Office
from httpproxy.store.intents.ledger import Ledger
from httpproxy.store.intents.values import OpenIntent
from httpproxy.store.registry import Sync


class IntentDocument(Model):
    """A call that was written down before it left. `sent`: it is under way; `uncertain`: no
    answer came, and the API is read until it is known what became of it."""

    id: str
    process: int
    sync: str | None = Field(description="The sync's name; null if it is gone.")
    sync_id: str
    request_id: str
    method: str
    path: str
    state: Literal["sent", "uncertain"]
    began_at: Moment
    age: float = Field(description="Seconds.")
    looks: int = Field(description="How often the API was read for it, in vain.")
    next_look: float | None = Field(description="Seconds until it is read again.")
    why: str | None


class OpenIntents:
    """Lists the intents that stand."""

    def __init__(self, office: Office) -> None:
        self._office = office

    async def page(
        self, limit: int, cursor: str | None = None, sync: Sync | None = None
    ) -> Page[IntentDocument]:
        """Oldest first, of one sync or of all. Raises Declined for a cursor not ours."""
        place = made_of(cursor)
        after = None if place is None else (place[0], _number(place[1]))
        whose = None if sync is None else sync.id
        async with Ledger(self._office.dsn) as ledger:
            found = await ledger.open(limit + 1, whose, after)
        return page_of(found, limit, lambda each: (each.began_at, str(each.id))).told(_told)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise no_cursor()
    return int(text)


def _told(intent: OpenIntent) -> IntentDocument:
    return IntentDocument(
        id=str(intent.id),  # 63 bits: more than a JavaScript number holds
        process=intent.process,
        sync=intent.sync_name,
        sync_id=intent.sync_id,
        request_id=intent.request_id,
        method=intent.method,
        path=intent.path,
        state=intent.state,
        began_at=intent.began_at,
        age=intent.age,
        looks=intent.looks,
        next_look=intent.due_in,
        why=intent.why or None,
    )
