"""`/v1/records`: every record once, those that changed last come last; in pages, and live."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from httpproxy.api.operations import Answer, Ask, Operation
from httpproxy.api.resources import live
from httpproxy.streams.documents import RecordDocument, RecordsQuery


async def list_records(ask: Ask) -> Answer | web.StreamResponse:
    """A page of records, or the stream of them."""
    asked: RecordsQuery = ask.query
    streams = ask.house.streams
    selection = await streams.select(asked, ask.sync, ask.key.sync_id)
    if live.wants_stream(ask):
        start = live.start_of(ask, asked.after)
        return await live.stream(ask, await streams.follow_records(selection, start))
    told = await streams.record_page(selection, asked.after, asked.limit)
    return live.page(told)


OPERATIONS: Final = (
    Operation(
        "GET",
        "/v1/records",
        "read",
        list_records,
        "Read the records stream",
        tag="streams",
        description="Each record as it is now, once, at the place of its newest event, and"
        " deleted ones as such. With `Accept: text/event-stream` the connection stays open"
        " and tells what changes.",
        query=RecordsQuery,
        answer=list[RecordDocument],
        reach="sync",
        problems=live.PROBLEMS,
        media=(live.MEDIA,),
    ),
)
