"""Readers that listen: when they are woken, how many there may be, and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest
from numbers_told import numbered

from httpproxy.management.problems import Declined
from httpproxy.store.errors import Unavailable
from httpproxy.store.streams.bearings import Border
from httpproxy.store.streams.places import Place, Wanted
from httpproxy.streams import tail as tails
from httpproxy.streams.items import Item, StreamPage
from httpproxy.streams.ring import Ring
from httpproxy.streams.tail import Bounds, Feed, Reader, Tail
from httpproxy.tasks import Tasks

LONG = 3600.0  # seconds: nothing comes of waiting so long
Page = StreamPage[Item[Any]]


class Stream:
    """A stream of numbers up to `last`, and how often it was asked what."""

    def __init__(self) -> None:
        self.last = 0
        self.open = False
        self.asked = self.pulls = self.shared = 0
        self.at_once = self.most_at_once = 0
        self.limits: list[int] = []
        self.size = 10
        self.away = False
        self.broken = self.busy = False
        self.feed: Feed[Any] = Feed(self.edge, self.read_on)

    async def border(self) -> Border:
        self.asked += 1
        if self.away:
            raise Unavailable("away")
        return Border(self.last, self.open)

    async def edge(self) -> Place:
        return Place(1, 0, self.last)

    async def read_on(self, place: Place, limit: int) -> Page:
        self.shared += 1
        if self.broken:
            raise RuntimeError("canceling statement due to user request")
        if self.busy:
            return StreamPage((), place, end=False, reach=place)
        return self._page(place, limit)

    async def pull(self, place: Place | None, limit: int) -> Page:
        self.pulls += 1
        self.limits.append(limit)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await asyncio.sleep(0.001)
            return self._page(place, limit)
        finally:
            self.at_once -= 1

    def _page(self, place: Place | None, limit: int) -> Page:
        if self.away:
            raise Unavailable("away")
        seen = 0 if place is None else place.seq
        last = min(seen + limit, self.last)
        items = tuple(numbered(n, size=self.size) for n in range(seen + 1, last + 1))
        at = Place(1, 0, max(last, seen))
        return StreamPage(items, at, end=at.seq >= self.last, reach=at)

    def reader(self, key_id: str = "", **wanted: Any) -> Reader[Any]:
        async def now() -> Wanted:
            return Wanted(**wanted)

        return Reader(self.feed, now, self.pull, key_id)


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Stream:
    monkeypatch.setattr(tails, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(tails, "REST_SECONDS", 0.05)
    monkeypatch.setattr(tails, "AWAY_SECONDS", 0.01)
    return Stream()


@pytest.fixture
async def tail(stream: Stream) -> AsyncIterator[Tail]:
    kept = Tail(stream.border, Bounds(3, 2))
    async with Tasks() as tasks:
        tasks.start(kept.keep(), "tail")
        yield kept


async def heard(following: AsyncGenerator[Page, None], count: int) -> list[int]:
    """The next numbers that are told, so many."""
    found: list[int] = []
    async with asyncio.timeout(60):
        async for told in following:
            found += [item.tell() for item in told.items]
            if len(found) >= count:
                return found
    return found


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - of others, who tell nobody
            await asyncio.sleep(0.002)


async def joined(following: AsyncGenerator[Page, None], stream: Stream) -> None:
    """The reader has been told what there was, and what comes is read for it."""
    await anext(following)
    await until(lambda: stream.feed.ring.until is not None)


async def test_a_reader_is_told_everything_in_order_and_then_what_comes(
    tail: Tail, stream: Stream
):
    stream.last = 700
    async with aclosing(tail.follow(stream.reader(), None)) as following:
        assert await heard(following, 700) == [*range(1, 701)]
        stream.last = 1702
        assert await heard(following, 1002) == [*range(701, 1703)]


async def test_what_comes_is_read_once_for_all_who_listen(tail: Tail, stream: Stream):
    readers = [tail.follow(stream.reader(key), None) for key in "aab"]
    for reader in readers:
        await joined(reader, stream)
    stream.last = 1
    for reader in readers:
        assert await heard(reader, 1) == [1], "whoever was late for the ring has its place now"
    pulls, shared = stream.pulls, stream.shared
    for n in range(2, 12):
        stream.last = n
        assert [await heard(reader, 1) for reader in readers] == [[n]] * 3
    assert stream.pulls == pulls
    assert stream.shared <= shared + 10
    for reader in readers:
        await reader.aclose()


async def test_what_comes_just_before_the_ring_begins_is_told(
    tail: Tail, stream: Stream, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tails, "POLL_SECONDS", LONG)
    monkeypatch.setattr(tails, "REST_SECONDS", LONG)
    pulled = asyncio.Event()

    async def edge() -> Place:
        await pulled.wait()
        stream.last = 1
        return Place(1, 0, 1)

    stream.feed.edge = edge
    async with aclosing(tail.follow(stream.reader(), None)) as following:
        await anext(following)
        asyncio.get_running_loop().call_soon(pulled.set)
        assert await heard(following, 1) == [1]


async def test_what_cannot_be_had_just_now_is_had_with_a_later_look(
    tail: Tail, stream: Stream, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tails, "REST_SECONDS", LONG)
    async with aclosing(tail.follow(stream.reader(), None)) as following:
        await joined(following, stream)
        stream.busy, stream.last, shared = True, 1, stream.shared
        await until(lambda: stream.shared > shared + 1)
        stream.busy = False  # how far the stream is complete has not moved since
        assert await heard(following, 1) == [1]


async def test_a_stream_that_somebody_begins_to_listen_to_is_read_from_then_on(
    tail: Tail, stream: Stream
):
    other = Stream()
    async with (
        aclosing(tail.follow(stream.reader(), None)) as first,
        aclosing(tail.follow(other.reader(), None)) as second,
    ):
        await joined(first, stream)
        await joined(second, other)
        stream.last = other.last = 1
        assert [await heard(first, 1), await heard(second, 1)] == [[1], [1]]


async def test_each_reader_is_told_what_it_wants(tail: Tail, stream: Stream):
    odd = tail.follow(stream.reader("a", event=["updated"]), None)
    everything = tail.follow(stream.reader("b"), None)
    for reader in (odd, everything):
        await joined(reader, stream)
    stream.last = 6
    assert await heard(everything, 6) == [1, 2, 3, 4, 5, 6]
    assert await heard(odd, 3) == [1, 3, 5]
    for reader in (odd, everything):
        await reader.aclose()


async def test_a_commit_of_this_process_is_told_without_waiting_for_the_next_look(
    tail: Tail, stream: Stream, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tails, "POLL_SECONDS", LONG)
    async with aclosing(tail.follow(stream.reader(), None)) as following:
        await joined(following, stream)
        stream.last = 1
        tail.stir()
        assert await heard(following, 1) == [1]


async def test_a_commit_that_another_one_holds_back_is_looked_for_again_and_less_and_less_often(
    tail: Tail, stream: Stream, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tails, "POLL_SECONDS", LONG)
    async with aclosing(tail.follow(stream.reader(), None)) as following:
        await joined(following, stream)
        asked, stream.open = stream.asked, True
        tail.stir()
        await until(lambda: stream.asked >= asked + 4)
        assert tail._pause >= 4 * tails.AGAIN_SECONDS
        stream.last, stream.open = 1, False
        assert await heard(following, 1) == [1]
        assert tail._pause == LONG, "nothing is held back any more"


async def test_who_falls_behind_the_ring_reads_by_itself_and_comes_back(
    tail: Tail, stream: Stream
):
    stream.feed.ring = Ring(most=10)
    async with aclosing(tail.follow(stream.reader(), None)) as following:
        await joined(following, stream)
        stream.last = 1
        assert await heard(following, 1) == [1]
        pulls = stream.pulls
        stream.last = 100  # while the reader is at something else
        await until(lambda: stream.feed.ring.until == Place(1, 0, 100))
        assert await heard(following, 99) == [*range(2, 101)]
        assert stream.pulls > pulls
        stream.last = 101
        assert await heard(following, 1) == [101]
        pulls, stream.last = stream.pulls, 102
        assert await heard(following, 1) == [102]
        assert stream.pulls == pulls


async def test_a_reader_has_a_handful_of_bytes_at_most_in_its_hands(tail: Tail, stream: Stream):
    stream.size, stream.last = tails.HANDFUL_BYTES // 8, 400
    async with aclosing(tail.follow(stream.reader(), None)) as following:
        await heard(following, 400)
        assert stream.limits[0] == tails.FIRST_PULL
        assert set(stream.limits[1:]) == {7}
        stream.last = 401
        assert await heard(following, 1) == [401]
        pulls, stream.last = stream.pulls, 430
        found: list[int] = []
        while len(found) < 29:
            told = await anext(following)
            assert len(told.items) <= 2, "each is half of what is told at once from the ring"
            found += [item.tell() for item in told.items]
        assert (found, stream.pulls) == ([*range(402, 431)], pulls)


async def test_a_reader_that_is_told_nothing_hears_that_it_is_listened_to(
    tail: Tail, stream: Stream
):
    async with aclosing(tail.follow(stream.reader(), None)) as following:
        await joined(following, stream)
        told = [await anext(following) for _ in range(4)]
    assert [each.items for each in told] == [()] * 4
    assert {each.reach for each in told} == {Place(1, 0, 0)}
    assert stream.pulls <= 2, "nothing is looked for while nothing has happened"
    assert stream.shared <= 1


async def test_what_comes_while_a_reader_looks_is_looked_for_again(tail: Tail, stream: Stream):
    reader = stream.reader()

    async def pull(place: Place | None, limit: int) -> Page:
        told = await stream.pull(place, limit)
        if stream.last == 0:
            stream.last = 1  # just behind what was looked at
            await until(lambda: stream.asked >= 3)  # until the readers were woken for it
        return told

    eager = Reader(reader.feed, reader.wanted, pull)
    async with aclosing(tail.follow(eager, None)) as following:
        assert await heard(following, 1) == [1]


async def test_how_far_the_stream_is_is_asked_while_somebody_listens(
    tail: Tail, stream: Stream
):
    tail.stir()
    await asyncio.sleep(0.05)
    assert stream.asked == 0
    async with aclosing(tail.follow(stream.reader(), None)) as following:
        await anext(following)
        await until(lambda: stream.asked > 1)
        await joined(following, stream)
    assert stream.feed.ring.until is None, "nothing is kept for nobody"
    await asyncio.sleep(0.02)
    before = stream.asked
    tail.stir()
    await asyncio.sleep(0.05)
    assert stream.asked == before
    async with aclosing(tail.follow(stream.reader(), None)) as following:
        await anext(following)
        await until(lambda: stream.asked > before)


async def test_many_readers_pull_a_few_at_a_time(tail: Tail, stream: Stream):
    stream.last = 400

    async def read(key: str) -> list[int]:
        async with aclosing(tail.follow(stream.reader(key), None)) as following:
            return await heard(following, 400)

    found = await asyncio.gather(*(read(key) for key in "aab"))
    assert found == [list(range(1, 401))] * 3
    assert stream.most_at_once == tails.PULLS_AT_ONCE


async def test_there_are_only_so_many_readers(tail: Tail, stream: Stream):
    readers = [tail.follow(stream.reader(key), None) for key in "aabc"]
    for reader in readers[:3]:
        await anext(reader)
    with pytest.raises(Declined, match="setting max_streams;") as refused:
        await anext(readers[3])
    assert refused.value.code == "too_many_readers"
    assert refused.value.headers["Retry-After"]
    await readers[2].aclose()
    with pytest.raises(Declined, match="max_streams_per_key") as refused:
        await anext(tail.follow(stream.reader("a"), None))
    assert refused.value.code == "too_many_readers"
    await readers[0].aclose()
    assert tail.readers == 1
    async with aclosing(tail.follow(stream.reader("a"), None)) as another:
        await anext(another)
    for reader in readers:
        await reader.aclose()
    assert tail.readers == 0
    assert not tail._of_keys, "what is counted for a key goes with its last reader"
    assert tail._ticker is not None
    assert tail._ticker.cancelled(), "nobody is given signs of life"


async def test_readers_end_when_the_process_drains(tail: Tail, stream: Stream):
    async with aclosing(tail.follow(stream.reader(), None)) as following:
        await anext(following)
        asyncio.get_running_loop().call_later(0.01, tail.close)
        assert await heard(following, 1) == []
    with pytest.raises(Declined, match="about to end"):
        await anext(tail.follow(stream.reader(), None))


async def test_a_database_that_goes_away_is_waited_for(tail: Tail, stream: Stream):
    async with aclosing(tail.follow(stream.reader(), None)) as following:
        await anext(following)
        stream.away = True
        for _ in range(3):
            assert (await anext(following)).items == ()
        stream.away, stream.last = False, 1
        assert await heard(following, 1) == [1]


async def test_a_database_that_goes_away_while_a_reader_pulls_is_waited_for(
    tail: Tail, stream: Stream
):
    stream.last = 100
    async with aclosing(tail.follow(stream.reader(), None)) as following:
        first = await heard(following, 1)
        stream.away = True
        assert (await anext(following)).items == ()
        stream.away = False
        assert first + await heard(following, 100 - len(first)) == [*range(1, 101)]


async def test_a_database_that_is_away_at_the_beginning_is_said_to_be(
    tail: Tail, stream: Stream
):
    stream.away = True
    with pytest.raises(Unavailable):
        await anext(tail.follow(stream.reader(), None))
    assert tail.readers == 0


async def test_what_cannot_be_read_for_all_is_read_by_each(
    tail: Tail, stream: Stream, caplog: pytest.LogCaptureFixture
):
    async with aclosing(tail.follow(stream.reader(), None)) as following:
        await joined(following, stream)
        stream.broken, stream.last = True, 1
        assert await heard(following, 1) == [1]
        assert "could not be read for all" in caplog.text
        stream.broken = False
        await until(lambda: stream.feed.ring.until is not None)
        stream.last = 2
        assert await heard(following, 1) == [2]
