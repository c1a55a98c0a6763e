"""Events are told in an order in which none is skipped; a record's, in that of its versions."""

from __future__ import annotations

import pytest

from httpproxy.store.commits.commit import Committer
from httpproxy.store.streams.places import Event, Place, Wanted
from httpproxy.store.streams.stream import EventStream
from tests.store.world import World, deletion, image

ALL = Wanted()


@pytest.fixture
def stream(world: World) -> EventStream:
    return EventStream(world.database)


async def told(stream: EventStream, wanted: Wanted = ALL, limit: int = 100) -> list[Event]:
    """All events from the beginning, page by page."""
    found: list[Event] = []
    place: Place | None = None
    while True:
        page = await stream.after(place, wanted, limit)
        found += page.events
        place = page.next
        if page.end:
            return found


def names(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.upstream_id, event.event) for event in events]


async def test_events_are_told_as_they_were_committed_and_each_once(
    world: World, committer: Committer, stream: EventStream
) -> None:
    await world.apply(committer, image("a", name="1"), image("b", name="1"))
    await world.apply(committer, image("a", name="2"))
    await world.apply(committer, deletion("b"))
    expected = [("a", "created"), ("b", "created"), ("a", "updated"), ("b", "deleted")]
    for limit in (1, 2, 3, 100):
        assert names(await told(stream, limit=limit)) == expected
    newest = await stream.before(None, ALL, 100)
    assert names(list(newest.events))[::-1] == expected
    assert newest.end
    half = await stream.before(None, ALL, 2)
    rest = await stream.before(half.next, ALL, 2)
    assert names([*half.events, *rest.events])[::-1] == expected


async def test_an_event_is_found_by_its_id(
    world: World, committer: Committer, stream: EventStream
) -> None:
    await world.apply(committer, image("a", name="1"), image("b", name="1"))
    for event in await told(stream):
        assert await stream.event(event.event_id) == event
    assert await stream.event("cdbf6ba1-97dd-45ee-991d-6c79464cb8a2") is None
    assert await stream.event("no id") is None


async def test_the_horizon_is_the_newest_event(
    world: World, committer: Committer, stream: EventStream
) -> None:
    assert await stream.horizon() == Place(1, 0, 0)
    await world.apply(committer, image("a", name="1"))
    assert await stream.horizon() == (await told(stream))[-1].place
    assert await stream.oldest() is None
