"""`/v1/events` live: server-sent events over TCP, as they are committed."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from listening import listen
from neighbours.house import open_house
from neighbours.keyring import new_key
from staging import Stage, new_sync, open_stage, put

from httpproxy.api.resources import live
from httpproxy.store.secrets.keys import Keys
from httpproxy.store.streams.places import Place
from httpproxy.streams import selecting, tail
from httpproxy.streams.ring import Ring


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - of others, who tell nobody
            await asyncio.sleep(0.02)


@pytest.fixture
async def stage(database_dsn: str, tmp_path: Path) -> AsyncIterator[Stage]:
    bounds = {"max_streams": 4, "max_streams_per_key": 3}
    async with open_stage(database_dsn, tmp_path, **bounds) as opened:
        yield opened


async def test_a_committed_event_is_told_as_pages_tell_it(stage: Stage):
    async with listen(stage.door.url, "/v1/events", stage.key) as listener:
        assert listener.status == 200
        assert listener.headers["content-type"] == "text/event-stream"
        assert listener.headers["cache-control"] == "no-store"
        assert listener.headers["x-request-id"]
        for _ in range(3):
            event = stage.event()
            await stage.write(event)
            (message,) = await listener.take(1)
            assert message.event == "created"
            assert message.data["upstream_id"] == event["upstream_id"]
            assert message.id == message.data["seq"]
            assert (await stage.got("/v1/events"))[-1] == message.data
        assert listener.retry == live.RETRY_MILLISECONDS


async def test_without_a_cursor_a_stream_begins_now_and_with_one_there(stage: Stage):
    await stage.write(stage.event(upstream_id="a"), stage.event(upstream_id="b"))
    first, _ = await stage.got("/v1/events")
    async with (
        listen(stage.door.url, "/v1/events", stage.key) as now,
        listen(stage.door.url, f"/v1/events?after={first['seq']}", stage.key) as there,
        listen(stage.door.url, "/v1/events?after=start", stage.key) as start,
    ):
        await stage.write(stage.event(upstream_id="c"))
        for listener, wanted in ((now, "c"), (there, "bc"), (start, "abc")):
            told = await listener.take(len(wanted))
            assert "".join(message.data["upstream_id"] for message in told) == wanted


async def test_a_stream_is_filtered_and_keys_of_one_sync_hear_of_that_alone(stage: Stage):
    own = await stage.door.key("read", sync_id=stage.base.id)
    async with (
        listen(stage.door.url, "/v1/events?event=deleted&provider=hubspot", stage.key) as some,
        listen(stage.door.url, "/v1/events", own) as mine,
    ):
        await stage.write(
            stage.event(stage.crm),
            stage.event(stage.other),
            stage.event(stage.crm, event="deleted", upstream_id="gone"),
            stage.event(stage.base, upstream_id="mine"),
        )
        assert (await some.take(1))[0].data["upstream_id"] == "gone"
        assert (await mine.take(1))[0].data["upstream_id"] == "mine"


async def test_a_sync_that_is_made_while_somebody_listens_is_heard_of(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(selecting, "FRESH_SECONDS", 0.05)
    path = "/v1/events?provider=airtable&collection_id=Tasks"
    async with listen(stage.door.url, path, stage.key) as listener:
        await stage.write(stage.event(upstream_id="a"))
        assert (await listener.take(1))[0].data["upstream_id"] == "a"
        late = await new_sync(stage.door, "airtable", "late", "app3", "tblOther000000001")
        await asyncio.sleep(0.1)
        await stage.write(stage.event(late, upstream_id="b", collection_id="tblOther000000001"))
        assert (await listener.take(1))[0].data["upstream_id"] == "b"


async def test_a_stream_that_fails_is_ended_for_the_reader_to_come_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    async def fails(_: Any) -> Any:
        raise RuntimeError("a defect")

    async with listen(stage.door.url, "/v1/events", stage.key) as listener:
        await until(lambda: stage.door.inside.house.streams.tail.readers == 1)
        monkeypatch.setattr(stage.door.inside.house.streams.events.shapes, "of", fails)
        await stage.write(stage.event())
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await listener.ended()
    assert "a defect" in caplog.text


async def test_a_reader_that_left_before_it_was_told_anything_has_a_place_to_go_on(
    stage: Stage,
):
    async with listen(stage.door.url, "/v1/events", stage.key) as listener:
        async with asyncio.timeout(60):
            while not listener.last_id:
                await anext(listener._lines())
                line = await anext(listener._lines())
                if line.startswith("id: "):
                    listener.last_id = line.removeprefix("id: ")
    await stage.write(event := stage.event())
    place = listener.last_id
    async with listen(stage.door.url, "/v1/events", stage.key, last_id=place) as again:
        (message,) = await again.take(1)
    assert message.data["upstream_id"] == event["upstream_id"]


async def _commit(stage: Stage, count: int, chance: random.Random) -> None:
    """Events in transactions that overlap those of others, and end in another order."""
    async with await psycopg.AsyncConnection.connect(stage.dsn) as connection:
        for _ in range(count):
            for _ in range(chance.randint(1, 3)):
                await put(connection, stage.event())
            await asyncio.sleep(chance.random() * 0.05)
            if chance.random() < 0.2:
                await connection.rollback()
            else:
                await connection.commit()


async def _kept(stage: Stage) -> set[int]:
    async with await psycopg.AsyncConnection.connect(stage.dsn) as connection:
        done = await connection.execute("SELECT seq FROM httpproxy.event")
        return {row[0] for row in await done.fetchall()}


async def test_a_reader_that_comes_back_again_and_again_misses_nothing(stage: Stage):
    chance = random.Random(5)
    writers = asyncio.gather(*(_commit(stage, 12, random.Random(n)) for n in range(5)))
    seen: list[str] = []
    following = (await stage.ask("/v1/events")).links["next"]["url"]
    (last_id,) = parse_qs(urlsplit(following).query)["after"]
    lost = 0  # on the way, and told again
    while not (writers.done() and lost):
        async with listen(stage.door.url, "/v1/events", stage.key, last_id=last_id) as listener:
            try:
                told = await listener.take(chance.randint(2, 9), 0.5)
            except TimeoutError:
                continue
            seen += [message.id for message in told]
            last = chance.randrange(max(0, len(told) - 3), len(told)) if lost else 0
            lost += len(told) - 1 - last
            last_id = told[last].id
    await writers
    everything = [each["seq"] for each in await stage.got("/v1/events?limit=1000")]
    numbers = {Place.read(seq).seq for seq in everything}
    assert numbers == await _kept(stage)
    async with listen(stage.door.url, "/v1/events", stage.key, last_id=last_id) as listener:
        rest = everything[everything.index(last_id) + 1 :]
        seen += [message.id for message in await listener.take(len(rest))] if rest else []
    assert len(seen) > len(everything), "some of it was told twice"
    assert list(dict.fromkeys(seen)) == everything


async def test_whoever_listens_is_told_everything_once_from_the_ring_or_not(stage: Stage):
    """The ring is so small that readers fall out of it again and again."""
    stage.door.inside.house.streams.event_feed.ring = Ring(most=3)
    own = await stage.door.key("read", sync_id=stage.base.id)
    paths = {
        "": stage.key,
        "?sync_id=base&event=created": stage.key,
        "?provider=airtable": own,
    }
    async with AsyncExitStack() as stack:
        listeners = [
            await stack.enter_async_context(listen(stage.door.url, f"/v1/events{query}", key))
            for query, key in paths.items()
        ]
        writers = [_commit(stage, 10, random.Random(n)) for n in range(5)]
        others = [stage.write(*(stage.event(stage.crm) for _ in range(20))) for _ in range(2)]
        await asyncio.gather(*writers, *others)
        for listener, (query, key) in zip(listeners, paths.items(), strict=True):
            glue = "&" if query else "?"
            everything = await stage.ask(f"/v1/events{query}{glue}limit=1000", key)
            wanted = [each["seq"] for each in everything.json()]
            assert [message.id for message in await listener.take(len(wanted))] == wanted
    assert len(wanted) < len(await stage.got("/v1/events?limit=1000"))


async def test_a_stream_that_has_nothing_to_tell_gives_signs_of_life(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(tail, "REST_SECONDS", 0.05)
    async with listen(stage.door.url, "/v1/events?event=deleted", stage.key) as listener:
        waiting = asyncio.ensure_future(listener.take(1))
        await stage.write(*(stage.event() for _ in range(3)))
        await until(lambda: len(listener.comments) >= 4)
        newest = (await stage.got("/v1/events"))[-1]["seq"]
        behind = await stage.ask(f"/v1/events?after={listener.last_id}")
        assert behind.json() == [], "what does not fit need not be looked at again"
        assert Place.read(listener.last_id) >= Place.read(newest)
        await stage.write(stage.event(event="deleted"))
        assert len(await waiting) == 1


def _rest_of(connection: socket.socket) -> int:
    """How many bytes still come."""
    taken = 0
    connection.settimeout(60)
    with suppress(ConnectionResetError):
        while chunk := connection.recv(1 << 20):
            taken += len(chunk)
    return taken


async def test_a_reader_that_does_not_read_is_let_go_and_costs_no_memory(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(live, "STALLED_SECONDS", 0.5)
    big = {"id": "rec1", "fields": {"Name": "x" * 1_000_000}}
    await stage.write(*(stage.event(data=big) for _ in range(40)))
    at = urlsplit(stage.door.url)
    with socket.create_connection((at.hostname, at.port)) as silent:
        silent.sendall(
            b"GET /v1/events?after=start HTTP/1.1\r\nHost: x\r\n"
            b"Accept: text/event-stream\r\n"
            b"Authorization: Bearer " + stage.key.encode() + b"\r\n\r\n"
        )
        readers = stage.door.inside.house.streams.tail
        await until(lambda: readers.readers == 1)
        await until(lambda: readers.readers == 0)
        taken = await asyncio.to_thread(_rest_of, silent)
    assert taken < 25_000_000, "most of it was never handed to the system"
    async with listen(stage.door.url, "/v1/events?after=start", stage.key) as lively:
        assert len(await lively.take(40)) == 40


async def test_a_reader_that_leaves_frees_its_place(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tail, "REST_SECONDS", 0.05)
    readers = stage.door.inside.house.streams.tail
    async with listen(stage.door.url, "/v1/events", stage.key):
        assert readers.readers == 1
        metrics = (await stage.ask("/metrics")).text
        assert 'httpproxy_stream_readers{worker="0"} 1.0' in metrics
    await until(lambda: readers.readers == 0)


async def test_a_reader_that_leaves_before_the_stream_begins_is_no_failure(
    stage: Stage, caplog: pytest.LogCaptureFixture
):
    readers = stage.door.inside.house.streams.tail
    where = urlsplit(stage.door.url)
    async with readers._turns, readers._turns:  # the first look has to wait
        _, writer = await asyncio.open_connection(where.hostname, where.port)
        head = f"Host: x\r\nAuthorization: Bearer {stage.key}\r\nAccept: {live.MEDIA}\r\n"
        writer.write(f"GET /v1/events?after=start HTTP/1.1\r\n{head}\r\n".encode())
        await until(lambda: readers.readers == 1)
        writer.transport.abort()
        await asyncio.sleep(0.1)  # for the door to notice
    await until(lambda: readers.readers == 0)
    await stage.got("/v1/events")
    assert [r.getMessage() for r in caplog.records if r.levelname == "ERROR"] == []


async def test_more_readers_than_the_settings_allow_are_sent_away(stage: Stage):
    other = await stage.door.key("read")

    async def opened(stack: AsyncExitStack, key: str) -> int:
        context = listen(stage.door.url, "/v1/events", key)
        return (await stack.enter_async_context(context)).status

    async def refused(key: str) -> str:
        async with listen(stage.door.url, "/v1/events", key) as listener:
            assert listener.status == 503
            assert listener.headers["retry-after"]
            told = await listener.body()
            assert told["code"] == "too_many_readers"
            return str(told["detail"])

    async with AsyncExitStack() as stack:
        assert [await opened(stack, stage.key) for _ in range(3)] == [200] * 3
        assert "max_streams_per_key" in await refused(stage.key)
        assert await opened(stack, other) == 200, "one key does not take the places of others"
        assert "max_streams;" in await refused(other)
        assert await stage.got("/v1/events") == [], "pages are read all the same"


@pytest.mark.parametrize(
    ("path", "last_id", "status", "code", "member"),
    [
        ("/v1/events?before=now", "", 400, "bad_parameter", "before"),
        ("/v1/events?after=x", "", 400, "bad_parameter", "after"),
        ("/v1/events?after=now", "not-a-place", 400, "bad_parameter", "Last-Event-ID"),
        ("/v1/records", "not-a-place", 400, "bad_parameter", "Last-Event-ID"),
        ("/v1/events?sync_id=nowhere", "", 404, "unknown_sync", "sync_id"),
    ],
)
async def test_what_cannot_be_streamed_is_said_before_the_stream_begins(
    stage: Stage, path: str, last_id: str, status: int, code: str, member: str | None
):
    async with listen(stage.door.url, path, stage.key, last_id=last_id) as listener:
        assert listener.status == status
        told = await listener.body()
        assert (told["code"], told.get("member")) == (code, member)
        assert member != "Last-Event-ID" or "Last-Event-ID is no cursor" in told["detail"]


async def test_a_stream_ends_when_its_key_does(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tail, "REST_SECONDS", 0.05)
    keys = stage.door.inside.keys
    key, text = await Keys(stage.door.inside.office.database, float).create("k", ["read"])
    async with listen(stage.door.url, "/v1/events", text.reveal()) as listener:
        await keys.revoke(key.id)
        assert await listener.ended() == []


async def test_what_comes_after_a_key_was_revoked_is_not_told(stage: Stage):
    keys = stage.door.inside.keys
    key, text = await Keys(stage.door.inside.office.database, float).create("k", ["read"])
    async with listen(stage.door.url, "/v1/events", text.reveal()) as listener:
        await keys.revoke(key.id)
        await stage.write(stage.event())
        assert await listener.ended() == []


async def test_a_reader_that_stood_still_too_long_is_told_when_it_comes_back(stage: Stage):
    await stage.write(stage.event(), stage.event())
    first, second = await stage.got("/v1/events")
    dropped = Place.read(second["seq"])
    async with await psycopg.AsyncConnection.connect(stage.dsn, autocommit=True) as connection:
        await connection.execute(
            "INSERT INTO httpproxy.event_dropped VALUES (%s, %s, %s::text::xid8, %s)",
            [stage.base.id, dropped.era, str(dropped.transaction), dropped.seq],
        )
    path = "/v1/events"
    async with listen(stage.door.url, path, stage.key, last_id=first["seq"]) as listener:
        assert listener.status == 410
        told = await listener.body()
        assert (told["oldest"], told["member"]) == (second["seq"], "Last-Event-ID")


async def test_streams_end_when_the_process_does(database_dsn: str, tmp_path: Path):
    nowhere = "http://127.0.0.1:9"
    async with open_house(database_dsn, tmp_path, nowhere, roles=("gateway", "api")) as house:
        url, key = house.service.api_url, await new_key(house, "read")
        assert url is not None
        context = listen(url, "/v1/events", key)
        listener = await context.__aenter__()
        ending = asyncio.ensure_future(listener.ended())
        await asyncio.sleep(0.1)
    assert await ending == []
    await context.__aexit__(None, None, None)
