"""Readers that listen: when they are woken, how many there may be, and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import pytest

from httpproxy.management.problems import Declined
from httpproxy.store.errors import Unavailable
from httpproxy.store.streams.places import Place
from httpproxy.streams import tail as tails
from httpproxy.streams.tail import Bounds, StreamPage, Tail
from httpproxy.tasks import Tasks


class Stream:
    """A stream of numbers, and how often it was asked how far it is."""

    def __init__(self) -> None:
        self.last = 0
        self.asked = 0
        self.pulls = 0
        self.at_once = self.most_at_once = 0
        self.away = False

    async def horizon(self) -> Place:
        self.asked += 1
        if self.away:
            raise Unavailable("away")
        return Place(1, 0, self.last)

    async def pull(self, place: Place | None) -> StreamPage[int]:
        self.pulls += 1
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await asyncio.sleep(0.001)
            if self.away:
                raise Unavailable("away")
            seen = 0 if place is None else place.seq
            items = tuple(range(seen + 1, min(seen + 2, self.last) + 1))
            last = items[-1] if items else seen
            return StreamPage(items, Place(1, 0, last), last == self.last)
        finally:
            self.at_once -= 1


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
async def tail(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Tail]:
    monkeypatch.setattr(tails, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(tails, "REST_SECONDS", 0.05)
    monkeypatch.setattr(tails, "AWAY_SECONDS", 0.01)
    kept = Tail(stream.horizon, Bounds(3, 2))
    async with Tasks() as tasks:
        tasks.start(kept.keep(), "tail")
        yield kept


async def heard(following: AsyncGenerator[StreamPage[int], None], count: int) -> list[int]:
    """The next numbers that are told, so many."""
    found: list[int] = []
    async with asyncio.timeout(60):
        async for told in following:
            found += told.items
            if len(found) >= count:
                return found
    return found


async def test_a_reader_is_told_everything_in_order_and_then_what_comes(
    tail: Tail, stream: Stream
):
    stream.last = 5
    async with aclosing(tail.follow(stream.pull, None)) as following:
        assert await heard(following, 5) == [1, 2, 3, 4, 5]
        stream.last = 7
        assert await heard(following, 2) == [6, 7]


async def test_a_reader_that_is_told_nothing_hears_that_it_is_listened_to(
    tail: Tail, stream: Stream
):
    async with aclosing(tail.follow(stream.pull, None)) as following:
        await anext(following)
        told = [await anext(following) for _ in range(4)]
    assert [each.items for each in told] == [()] * 4
    assert {each.next for each in told} == {Place(1, 0, 0)}
    assert stream.pulls <= 2, "nothing is looked for while nothing has happened"


async def test_what_comes_while_a_reader_looks_is_looked_for_again(tail: Tail, stream: Stream):
    async def pull(place: Place | None) -> StreamPage[int]:
        told = await stream.pull(place)
        if stream.last == 0:
            stream.last = 1  # just behind what was looked at
            async with asyncio.timeout(60):
                while stream.asked < 3:  # noqa: ASYNC110 - until the readers were woken for it
                    await asyncio.sleep(0.005)
        return told

    async with aclosing(tail.follow(pull, None)) as following:
        assert await heard(following, 1) == [1]


async def test_how_far_the_stream_is_is_asked_while_somebody_listens(
    tail: Tail, stream: Stream
):
    await asyncio.sleep(0.05)
    assert stream.asked == 0
    async with aclosing(tail.follow(stream.pull, None)) as following:
        await anext(following)
        await asyncio.sleep(0.05)
        assert stream.asked > 1
    await asyncio.sleep(0.02)
    before = stream.asked
    await asyncio.sleep(0.05)
    assert stream.asked == before


async def test_many_readers_pull_a_few_at_a_time(tail: Tail, stream: Stream):
    stream.last = 40

    async def read(key: str) -> list[int]:
        async with aclosing(tail.follow(stream.pull, None, key)) as following:
            return await heard(following, 40)

    found = await asyncio.gather(*(read(key) for key in "aab"))
    assert found == [list(range(1, 41))] * 3
    assert stream.most_at_once == tails.PULLS_AT_ONCE


async def test_there_are_only_so_many_readers(tail: Tail, stream: Stream):
    readers = [tail.follow(stream.pull, None, key) for key in "aabc"]
    for reader in readers[:3]:
        await anext(reader)
    with pytest.raises(Declined, match="setting max_streams;") as refused:
        await anext(readers[3])
    assert refused.value.code == "too_many_readers"
    assert refused.value.headers["Retry-After"]
    await readers[2].aclose()
    with pytest.raises(Declined, match="max_streams_per_key") as refused:
        await anext(tail.follow(stream.pull, None, "a"))
    assert refused.value.code == "too_many_readers"
    await readers[0].aclose()
    assert tail.readers == 1
    async with aclosing(tail.follow(stream.pull, None, "a")) as another:
        await anext(another)
    for reader in readers:
        await reader.aclose()
    assert tail.readers == 0
    assert not tail._of_keys, "what is counted for a key goes with its last reader"


async def test_readers_end_when_the_process_drains(tail: Tail, stream: Stream):
    async with aclosing(tail.follow(stream.pull, None)) as following:
        await anext(following)
        asyncio.get_running_loop().call_later(0.01, tail.close)
        assert await heard(following, 1) == []
    with pytest.raises(Declined, match="about to end"):
        await anext(tail.follow(stream.pull, None))


async def test_a_database_that_goes_away_is_waited_for(tail: Tail, stream: Stream):
    async with aclosing(tail.follow(stream.pull, None)) as following:
        await anext(following)
        stream.away = True
        tail.wake()
        for _ in range(3):
            assert (await anext(following)).items == ()
        stream.away, stream.last = False, 1
        assert await heard(following, 1) == [1]


async def test_a_database_that_is_away_at_the_beginning_is_said_to_be(
    tail: Tail, stream: Stream
):
    stream.away = True
    with pytest.raises(Unavailable):
        await anext(tail.follow(stream.pull, None))
    assert tail.readers == 0


async def test_a_query_that_somebody_cancels_ends_nothing(
    tail: Tail, stream: Stream, caplog: pytest.LogCaptureFixture
):
    async def cancelled() -> Place:
        tail._horizon = stream.horizon
        raise RuntimeError("canceling statement due to user request")

    tail._horizon = cancelled
    async with aclosing(tail.follow(stream.pull, None)) as following:
        await anext(following)
        await asyncio.sleep(0.05)
        stream.last = 1
        assert await heard(following, 1) == [1]
    assert "could not be read" in caplog.text
