"""`/v1/events`: what was committed, change by change; in pages, and live."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from httpproxy.api.operations import Answer, Ask, Operation
from httpproxy.api.resources import live
from httpproxy.management.problems import Declined
from httpproxy.streams.documents import EventDocument, EventsQuery


async def list_events(ask: Ask) -> Answer | web.StreamResponse:
    """A page of events, or the stream of them."""
    asked: EventsQuery = ask.query
    streams = ask.house.streams
    backwards = asked.before is not None
    if backwards and (asked.after is not None or live.wants_stream(ask)):
        raise Declined(
            "bad_parameter", "before goes with pages alone, and without after.", "before"
        )
    selection = await streams.select(asked, ask.sync, ask.key.sync_id)
    if live.wants_stream(ask):
        start = live.start_of(ask, asked.after)
        return await live.stream(ask, await streams.follow_events(selection, start))
    if backwards:
        told = await streams.event_page(selection, asked.before, asked.limit, "before")
        turn = {} if told.end else {"before": told.next.write()}
        return Answer([item.tell() for item in told.items], turn=turn)
    told = await streams.event_page(selection, asked.after, asked.limit)
    return live.page(told)


async def get_event(ask: Ask) -> Answer:
    """One event."""
    event_id = ask.path["event_id"]
    return Answer(await ask.house.streams.event(event_id, ask.key.sync_id))


OPERATIONS: Final = (
    Operation(
        "GET",
        "/v1/events",
        "read",
        list_events,
        "Read the events stream",
        tag="streams",
        description="What was committed, in an order that never changes; at least once each."
        " With `Accept: text/event-stream` the connection stays open and tells them live.",
        query=EventsQuery,
        answer=list[EventDocument],
        reach="sync",
        problems=live.PROBLEMS,
        media=(live.MEDIA,),
    ),
    Operation(
        "GET",
        "/v1/events/{event_id}",
        "read",
        get_event,
        "Get one event",
        tag="streams",
        answer=EventDocument,
        reach="sync",
        problems=("unknown_event",),
    ),
)
