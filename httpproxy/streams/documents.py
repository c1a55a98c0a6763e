"""What readers of the streams ask for, and the documents that they are told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints

from httpproxy.management.models import Model, Moment, Text
from httpproxy.management.paging import DEFAULT_LIMIT, MAX_LIMIT

EventName = Literal["created", "updated", "deleted"]
OriginName = Literal["proxy", "sync", "mutation", "sql"]
Named = Annotated[Text, StringConstraints(min_length=1, max_length=500)]

MOST = 100  # values of one filter


class Filters(Model):
    """Which events, or records, are wanted; nothing given: all of them.

    Each may be given several times, and means any of the values.
    """

    sync_id: list[Named] = Field([], max_length=MOST, description="Ids or names of syncs.")
    provider: list[Named] = Field([], max_length=MOST, description="airtable, hubspot.")
    collection_id: list[Named] = Field(
        [],
        max_length=MOST,
        description="`airtable:tblX`, `hubspot:contact`; the prefix may be left out, and an"
        " id, a name or another spelling of the API's will do.",
    )
    event: list[EventName] = Field([], max_length=MOST, description="What happened.")
    origin: list[OriginName] = Field(
        [], max_length=MOST, description="By which way it was committed."
    )


class RecordsQuery(Filters):
    """Which of them, from where on, and how many."""

    after: str | None = Field(
        None,
        description="Goes on after this `seq`, oldest first; `start` is the oldest there is,"
        " `now` what comes from now on. Pages begin at `start`, a live stream at `now`.",
    )
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="Items on a page.")


class EventsQuery(RecordsQuery):
    """The same for events, which are told backwards as well."""

    before: str | None = Field(
        None, description="What came before this `seq`, newest first; `now`: the newest."
    )


class _OfRecord(Model):
    """Which record it is about."""

    sync_id: str
    collection_id: str = Field(description="The provider, and what it calls the collection.")
    upstream_id: str = Field(description="The record's id.")
    upstream_updated_at: Moment | None = Field(description="The API's own version, if any.")


class EventDocument(_OfRecord):
    """A committed change of a record."""

    data: dict[str, JsonValue] = Field(
        description="The record as the API told it: its id, and its fields by their names."
        " Of a record that was deleted, the id."
    )
    event: EventName
    event_id: str
    event_inserted_at: Moment
    seq: str = Field(description="The event's place: a cursor for `after` and `before`.")
    changes: dict[str, JsonValue] | None = Field(
        description="What the fields that changed held before; of a record that was deleted,"
        " all of them; null of one that is new."
    )
    origin: OriginName
    request_id: str


class RecordDocument(_OfRecord):
    """A record as it is now, at the place of its newest event."""

    data: dict[str, JsonValue] = Field(
        description="The record: its id, and its fields by their names. Of a record that was"
        " deleted, the id."
    )
    deleted: bool
    event: EventName = Field(description="What happened to it last.")
    event_inserted_at: Moment
    seq: str = Field(description="Its place: a cursor for `after`.")
    origin: OriginName
    request_id: str


Document = EventDocument | RecordDocument
