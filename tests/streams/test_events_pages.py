"""`/v1/events` in pages: order, filters, cursors, keys, and one event by its id."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from neighbours.syncs import followed
from staging import CONTACT, PROJECTS, TASKS, Stage, open_stage, put

from httpproxy.store.streams import shapes
from httpproxy.store.streams.places import Place


@pytest.fixture
async def stage(database_dsn: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(database_dsn, tmp_path) as opened:
        yield opened


def ids(documents: list[dict[str, Any]]) -> list[str]:
    return [document["upstream_id"] for document in documents]


async def test_an_event_looks_as_the_stream_promises(stage: Stage):
    await stage.write(
        stage.event(
            stage.crm,
            event="updated",
            upstream_id="512",
            data={"id": "512", "properties": {"Name": "Ada"}},
            changes={"Name": "Eve"},
        )
    )
    (told,) = await stage.got("/v1/events")
    seq, event_id, at = (told.pop(name) for name in ("seq", "event_id", "event_inserted_at"))
    assert told == {
        "sync_id": stage.crm.id,
        "collection_id": "hubspot:contact",
        "upstream_id": "512",
        "upstream_updated_at": None,
        "data": {"id": "512", "Name": "Ada"},
        "event": "updated",
        "changes": {"Name": "Eve"},
        "origin": "proxy",
        "request_id": "r-1",
    }
    assert Place.read(seq).seq > 0
    assert at.endswith("Z")
    one = await stage.ask(f"/v1/events/{event_id}")
    assert one.json()["event_id"] == event_id
    assert one.json()["data"] == told["data"]


async def test_pages_follow_one_another_to_the_end_and_go_on_there(stage: Stage):
    wanted = [stage.event() for _ in range(7)]
    await stage.write(*wanted)
    found: list[str] = []
    path, told = "/v1/events?limit=3&sync_id=base", "more"
    while told == "more":
        answer = await stage.ask(path)
        found += ids(answer.json())
        told = answer.headers["Httpproxy-Stream"]
        path = answer.links["next"]["url"]
        assert set(parse_qs(urlsplit(path).query)) == {"limit", "sync_id", "after"}
    assert told == "end"
    assert found == [event["upstream_id"] for event in wanted]
    assert await stage.got(path) == []
    await stage.write(late := stage.event())
    assert ids(await stage.got(path)) == [late["upstream_id"]]


async def test_before_goes_back_from_the_newest_to_the_oldest(stage: Stage):
    wanted = [stage.event() for _ in range(5)]
    await stage.write(*wanted)
    found: list[str] = []
    path: str | None = "/v1/events?before=now&limit=2"
    while path is not None:
        answer = await stage.ask(path)
        found += ids(answer.json())
        path = answer.links.get("next", {}).get("url")
    assert found == [event["upstream_id"] for event in reversed(wanted)]


async def test_the_seq_of_an_event_is_a_cursor_in_both_directions(stage: Stage):
    await stage.write(*(stage.event() for _ in range(3)))
    first, second, third = await stage.got("/v1/events")
    assert await stage.got(f"/v1/events?after={second['seq']}") == [third]
    assert await stage.got(f"/v1/events?before={second['seq']}") == [first]
    assert await stage.got("/v1/events?after=now") == []
    assert len(await stage.got("/v1/events?after=start")) == 3


FITS = (
    ("sync_id=base", "ab"),
    ("sync_id=base&sync_id=other", "abd"),
    ("provider=airtable", "abd"),
    ("provider=hubspot", "c"),
    ("provider=hubspot&sync_id=base", ""),
    ("provider=airtable&provider=hubspot", "abcd"),
    ("collection_id=airtable:Tasks", "ad"),
    (f"collection_id={TASKS}&sync_id=other", "d"),
    ("collection_id=Projects&collection_id=hubspot:contact", "bc"),
    ("collection_id=contacts", "c"),
    ("event=deleted&event=updated", "bc"),
    ("origin=sync", "d"),
    ("event=created&origin=proxy", "a"),
)


async def test_filters_are_alternatives_each_and_conditions_together(stage: Stage):
    await stage.write(
        stage.event(upstream_id="a"),
        stage.event(upstream_id="b", collection_id=PROJECTS, event="updated"),
        stage.event(stage.crm, upstream_id="c", collection_id=CONTACT, event="deleted"),
        stage.event(stage.other, upstream_id="d", origin="sync"),
    )
    for query, fits in FITS:
        assert "".join(ids(await stage.got(f"/v1/events?{query}"))) == fits, query


WRONG = (
    ("after=NjA1", 400, "bad_parameter", "after"),
    ("before=!", 400, "bad_parameter", "before"),
    ("before=start", 400, "bad_parameter", "before"),
    ("after=now&before=now", 400, "bad_parameter", "before"),
    ("limit=0", 400, "bad_parameter", "limit"),
    ("event=read", 400, "bad_parameter", "event[0]"),
    ("provider=salesforce", 400, "unknown_provider", "provider"),
    ("collection_id=Nowhere", 400, "unknown_collection", "collection_id"),
    ("collection_id=hubspot:Tasks", 400, "unknown_collection", "collection_id"),
    ("sync_id=%00", 400, "bad_parameter", "sync_id[0]"),
    ("collection_id=", 400, "bad_parameter", "collection_id[0]"),
    ("provider=hubspot%0a", 400, "bad_parameter", "provider[0]"),
    ("after=%00", 400, "bad_parameter", "after"),
    ("sync_id=nowhere", 404, "unknown_sync", "sync_id"),
    ("colection_id=Tasks", 400, "bad_parameter", "colection_id"),
)


async def test_what_cannot_be_read_is_named(stage: Stage):
    for query, *wanted in WRONG:
        answer = await stage.ask(f"/v1/events?{query}")
        told = answer.json()
        assert [answer.status_code, told["code"], told.get("member")] == wanted, query


async def test_a_malformed_cursor_is_told_where_cursors_come_from(stage: Stage):
    said = (await stage.ask("/v1/events?after=page-2")).json()["detail"]
    assert "seq" in said
    assert "Link" in said


async def test_a_key_of_one_sync_reads_that_sync_s_events_alone(stage: Stage):
    mine, theirs = stage.event(), stage.event(stage.other)
    await stage.write(mine, theirs)
    key = await stage.door.key("read", sync_id=stage.base.id)
    assert ids((await stage.ask("/v1/events", key)).json()) == [mine["upstream_id"]]
    provider = await stage.ask("/v1/events?provider=hubspot", key)
    assert provider.json() == []
    refused = await stage.ask("/v1/events?sync_id=other", key)
    assert (refused.status_code, refused.json()["code"]) == (403, "key_not_allowed")
    collection = await stage.ask("/v1/events?collection_id=hubspot:contact", key)
    assert collection.json()["code"] == "unknown_collection"
    by_record = {each["upstream_id"]: each for each in await stage.got("/v1/events")}
    own = by_record[mine["upstream_id"]]["event_id"]
    foreign = by_record[theirs["upstream_id"]]["event_id"]
    assert (await stage.ask(f"/v1/events/{own}", key)).status_code == 200
    hidden = await stage.ask(f"/v1/events/{foreign}", key)
    assert (hidden.status_code, hidden.json()["code"]) == (404, "unknown_event")


@pytest.mark.parametrize("event_id", ["x", "cdbf6ba1-97dd-45ee-991d-6c79464cb8a2"])
async def test_an_event_that_there_is_not_is_not_found(stage: Stage, event_id: str):
    answer = await stage.ask(f"/v1/events/{event_id}")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_event")


async def test_a_cursor_behind_what_is_kept_is_gone(stage: Stage):
    await stage.write(stage.event(), stage.event())
    first, second = await stage.got("/v1/events")
    dropped = Place.read(second["seq"])
    async with await psycopg.AsyncConnection.connect(stage.dsn, autocommit=True) as connection:
        await connection.execute(
            "INSERT INTO httpproxy.event_dropped VALUES (%s, %s, %s::text::xid8, %s)",
            [stage.base.id, dropped.era, str(dropped.transaction), dropped.seq],
        )
    gone = await stage.ask(f"/v1/events?after={first['seq']}")
    assert gone.status_code == 410
    assert gone.json()["code"] == "cursor_expired"
    assert gone.json()["oldest"] == second["seq"]
    assert await stage.got(f"/v1/events?after={gone.json()['oldest']}") == []


async def test_an_event_that_commits_late_is_told_all_the_same(stage: Stage):
    async with await psycopg.AsyncConnection.connect(stage.dsn) as slow:
        late = stage.event()
        await put(slow, late)
        await stage.write(early := stage.event())
        answer = await stage.ask("/v1/events")
        assert answer.json() == [], "the one that is open may still come before it"
        await slow.commit()
    told = await stage.got(answer.links["next"]["url"])
    assert ids(told) == [late["upstream_id"], early["upstream_id"]]


async def test_fields_are_told_by_the_names_that_they_have_now(stage: Stage):
    await stage.write(
        stage.event(
            event="updated",
            data={"id": "r", "fields": {"fldName0000000001": "x"}},
            changes={"fldName0000000001": "y"},
        )
    )
    (told,) = await stage.got("/v1/events")
    assert (told["data"]["Name"], told["changes"]) == ("x", {"Name": "y"})
    registry = stage.door.inside.office.registry
    tables = await registry.tables(stage.base)
    collection = tables.tables[TASKS].collection
    renamed = [
        type(f)(f.id, "Title", f.type, f.column_type) if f.name == "Name" else f
        for f in collection.fields
    ]
    await followed(
        registry,
        stage.base,
        [type(collection)(TASKS, "Tasks", tuple(renamed), table_name="Tasks")],
    )
    (told,) = await stage.got("/v1/events")
    assert (told["data"]["Title"], told["changes"]) == ("x", {"Title": "y"})


async def test_events_of_a_sync_that_is_gone_are_not_told(stage: Stage):
    await stage.write(stage.event(), stage.event(stage.crm, sync_id="sync_gone"))
    assert len(await stage.got("/v1/events")) == 1


async def test_what_is_known_of_syncs_is_bounded(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shapes, "MOST", 1)
    await stage.write(stage.event(), stage.event(stage.other), stage.event(stage.crm))
    assert len(await stage.got("/v1/events")) == 3
    assert len(stage.door.inside.house.streams.events.shapes._kept) == 1


async def test_what_only_a_later_version_can_tell_is_left_out(stage: Stage):
    await stage.write(ours := stage.event(), stage.event(stage.crm))
    with psycopg.connect(stage.dsn) as connection:
        connection.execute(
            "UPDATE httpproxy.sync SET provider = 'later' WHERE id = %s", (stage.crm.id,)
        )
    assert ids(await stage.got("/v1/events")) == [ours["upstream_id"]]
