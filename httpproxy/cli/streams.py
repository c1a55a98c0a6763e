"""`httpproxy events` and `httpproxy records`: the streams in a terminal, or as JSON."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC
from typing import Any, TypeVar, get_args

import click

from httpproxy.cli.desk import open_desk
from httpproxy.cli.invocation import Invocation
from httpproxy.cli.output import json_option
from httpproxy.cli.running import run, stop_event
from httpproxy.settings.reading import Settings
from httpproxy.streams.documents import (
    EventDocument,
    EventName,
    EventsQuery,
    OriginName,
)
from httpproxy.streams.items import Item, StreamPage
from httpproxy.streams.reading import Start, Streams, make_streams
from httpproxy.streams.selecting import Selection
from httpproxy.streams.tail import Bounds, Tail
from httpproxy.tasks import Tasks

Command = TypeVar("Command", bound=Callable[..., Any])
Following = AsyncGenerator[StreamPage[Item[Any]], None]

_FILTERS = (
    click.option("--sync", "sync_id", multiple=True, help="Of the sync of this name or id."),
    click.option("--provider", multiple=True, help="Of the syncs of this provider."),
    click.option(
        "--collection", "collection_id", multiple=True, help="hubspot:contact, Tasks, tblX …"
    ),
    click.option("--event", multiple=True, type=click.Choice(get_args(EventName))),
    click.option("--origin", multiple=True, type=click.Choice(get_args(OriginName))),
    click.option("--after", help="Go on after this seq; `start` is the oldest there is."),
    click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True),
    click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until Ctrl-C."),
    json_option,
)


def _filtered(command: Command) -> Command:
    """The options that both streams have; each filter can be repeated."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


@click.command(short_help="Show what was committed, change by change.")
@_filtered
@click.option("--before", help="What came before this seq, newest first; `now`: the newest.")
@click.pass_obj
def events(
    invocation: Invocation, /, follow: bool, wants_json: bool, limit: int, **asked: Any
) -> None:
    """Show what was committed, change by change: the newest, unless told from where on.

    \b
    Examples
      httpproxy events --sync crm --event deleted
      httpproxy events --follow --json
    """
    settings = invocation.settings()
    if follow and asked["before"] is not None:
        raise click.UsageError("--follow goes forward: it does not go with --before")
    if asked["after"] is not None and asked["before"] is not None:
        raise click.UsageError("--after and --before: choose one")
    run(settings, _events(settings, _asked(limit, asked), follow, wants_json))


@click.command(short_help="Show every record once, as it is now.")
@_filtered
@click.pass_obj
def records(
    invocation: Invocation, /, follow: bool, wants_json: bool, limit: int, **asked: Any
) -> None:
    """Show every record once, as it is now; those that changed last come last.

    \b
    Examples
      httpproxy records --sync crm --collection contact --json
      httpproxy records --after NjA1… --limit 1000
    """
    settings = invocation.settings()
    run(settings, _records(settings, _asked(limit, asked), follow, wants_json))


def _asked(limit: int, asked: dict[str, Any]) -> EventsQuery:
    members = {name: list(v) if isinstance(v, tuple) else v for name, v in asked.items()}
    return EventsQuery.model_validate({"limit": limit, **members})


async def _events(
    settings: Settings, asked: EventsQuery, follow: bool, wants_json: bool
) -> None:
    async with _open_streams(settings, asked) as (streams, selection):
        place = asked.after
        if place is not None:
            told = await streams.event_page(selection, place, asked.limit)
            place = told.next.write()
            _show(told.items, wants_json)
        else:
            place = await streams.now()
            told = await streams.event_page(selection, asked.before, asked.limit, "before")
            _show(told.items if asked.before else told.items[::-1], wants_json)
            place = told.items[0].seq if told.items else place
            if asked.before is not None:
                _hint("" if told.end else f"--before {told.next.write()}")
                return
        if follow:
            await _follow(await streams.follow_events(selection, Start(place)), wants_json)
        else:
            _hint(f"--after {place}")


async def _records(
    settings: Settings, asked: EventsQuery, follow: bool, wants_json: bool
) -> None:
    async with _open_streams(settings, asked) as (streams, selection):
        told = await streams.record_page(selection, asked.after, asked.limit)
        place = told.next.write()
        _show(told.items, wants_json)
        if follow:
            await _follow(await streams.follow_records(selection, Start(place)), wants_json)
        else:
            _hint("" if told.end else f"--after {place}")


@asynccontextmanager
async def _open_streams(
    settings: Settings, asked: EventsQuery
) -> AsyncIterator[tuple[Streams, Selection]]:
    """The streams, and what is asked for. Ctrl-C ends who follows."""
    async with open_desk(settings) as desk, Tasks() as tasks:
        streams = make_streams(desk.office, time.monotonic, Bounds(1, 1))
        tasks.start(streams.tail.keep(), "streams")
        tasks.start(_close_at(stop_event(), streams.tail), "end of the streams")
        yield streams, await streams.select(asked, desk.sync)


async def _close_at(stopped: asyncio.Event, tail: Tail) -> None:
    await stopped.wait()
    tail.close()


async def _follow(following: Following, wants_json: bool) -> None:
    async with aclosing(following) as pages:
        async for told in pages:
            _show(told.items, wants_json)


def _show(items: Iterable[Item[Any]], wants_json: bool) -> None:
    """A line each: JSON, or what happened when to which record, and which fields changed."""
    for item in items:
        if wants_json:
            click.echo(item.json)
            continue
        document = item.tell()
        at = document.event_inserted_at.astimezone(UTC).isoformat(" ", "milliseconds")[:23]
        changes = document.changes if isinstance(document, EventDocument) else None
        words = [
            at,
            f"{document.event:7}",
            document.collection_id,
            document.upstream_id,
            document.origin,
            ", ".join(changes or ()) if document.event == "updated" else "",
        ]
        click.echo("  ".join(words).rstrip())


def _hint(option: str) -> None:
    if option:
        click.echo(f"more: {option}", err=True)
