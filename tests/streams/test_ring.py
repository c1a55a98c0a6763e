"""The newest of a stream, kept for all: what is there is told as the database would."""

from __future__ import annotations

import random
from typing import Any

import psycopg
import pytest
from numbers_told import numbered
from psycopg.types.json import Jsonb

from httpproxy.store.database import Database
from httpproxy.store.streams.places import Place, Wanted
from httpproxy.store.streams.records import RecordStream
from httpproxy.store.streams.stream import EventStream
from httpproxy.streams.items import Item, StreamPage
from httpproxy.streams.ring import Ring

ALL = Wanted()
PLENTY = 1 << 30


def at(n: int) -> Place:
    return Place(1, 0, n)


def page(*items: Item[Any], reach: int) -> StreamPage[Item[Any]]:
    return StreamPage(items, items[-1].place if items else at(reach), True, at(reach))


@pytest.fixture
def ring() -> Ring[Any]:
    """From 10 on; 11, 12 and 13 are there, and nothing else up to 20."""
    made: Ring[Any] = Ring(most=5, most_bytes=1000)
    made.begin(at(10))
    made.add(at(10), page(numbered(11), numbered(12), numbered(13), reach=20))
    return made


def told(found: StreamPage[Item[Any]] | None) -> list[int]:
    assert found is not None
    return [item.tell() for item in found.items]


def test_whoever_is_between_its_ends_is_told_what_comes_behind(ring: Ring[Any]):
    for place, wanted in ((10, [11, 12, 13]), (11, [12, 13]), (13, []), (17, []), (20, [])):
        found = ring.after(at(place), ALL, 9, PLENTY)
        assert told(found) == wanted
        assert found is not None
        assert (found.end, found.reach) == (True, at(20))


def test_whoever_is_behind_it_is_told_nothing_and_who_is_ahead_stays_there(ring: Ring[Any]):
    assert ring.after(at(9), ALL, 9, PLENTY) is None
    ahead = ring.after(at(30), ALL, 9, PLENTY)
    assert told(ahead) == []
    assert ahead is not None
    assert ahead.reach == at(30)
    fresh: Ring[Any] = Ring()
    assert fresh.after(at(30), ALL, 9, PLENTY) is None


def test_a_handful_ends_with_the_last_item_that_was_looked_at(ring: Ring[Any]):
    first = ring.after(at(10), ALL, 2, PLENTY)
    assert told(first) == [11, 12]
    assert first is not None
    assert (first.end, first.reach, first.next) == (False, at(12), at(12))
    large = ring.after(at(10), ALL, 9, 15)
    assert told(large) == [11, 12], "the bytes of one are fewer than fifteen, those of two not"
    assert told(ring.after(at(10), Wanted(event=["deleted"]), 9, PLENTY)) == [12]


def test_what_is_old_makes_room(ring: Ring[Any]):
    ring.add(at(20), page(*(numbered(n) for n in (21, 22, 23)), reach=24))
    assert ring.after(at(10), ALL, 9, PLENTY) is None
    assert told(ring.after(at(11), ALL, 9, PLENTY)) == [12, 13, 21, 22, 23]
    ring.add(at(24), page(numbered(25, size=990), reach=25))
    assert ring.after(at(21), ALL, 9, PLENTY) is None
    assert told(ring.after(at(22), ALL, 9, PLENTY)) == [23, 25]
    ring.add(at(25), page(numbered(26, size=1001), reach=26))
    assert ring.after(at(25), ALL, 9, PLENTY) is None, "what is too large is kept by nobody"
    assert told(ring.after(at(26), ALL, 9, PLENTY)) == []
    ring.add(at(26), page(numbered(27, size=900), reach=27))
    assert told(ring.after(at(26), ALL, 9, PLENTY)) == [27], "and leaves all its room behind"


def test_what_was_read_behind_another_place_is_not_taken_in(ring: Ring[Any]):
    ring.add(at(19), page(numbered(21), reach=30))
    assert ring.until == at(20)
    ring.clear()
    ring.add(at(20), page(numbered(21), reach=30))
    assert ring.until is None


def test_a_record_is_there_once_at_its_newest_place():
    ring: Ring[Any] = Ring(most=2, most_bytes=25)
    ring.begin(at(0))
    ring.add(at(0), page(numbered(1, record=("a",)), numbered(2, record=("b",)), reach=2))
    ring.add(at(2), page(numbered(3, record=("a",)), reach=3))
    assert told(ring.after(at(0), ALL, 9, PLENTY)) == [2, 3]
    ring.add(at(3), page(numbered(4, record=("a",)), reach=4))
    assert told(ring.after(at(0), ALL, 9, PLENTY)) == [2, 4], "the room of the old one is free"
    ring.add(at(4), page(numbered(5, record=("c",)), numbered(6, record=("d",)), reach=6))
    assert told(ring.after(at(4), ALL, 9, PLENTY)) == [5, 6]
    ring.add(at(6), page(numbered(7, record=("b",)), reach=7))
    assert told(ring.after(at(5), ALL, 9, PLENTY)) == [6, 7], "b had been forgotten by then"


def test_json_is_made_once_for_all_who_want_it():
    made: list[int] = []

    class Document:
        def model_dump_json(self) -> str:
            made.append(1)
            return '{"a":1}'

    item: Item[Any] = numbered(1)
    item.tell = Document
    assert [item.json, item.json] == [b'{"a":1}'] * 2
    assert made == [1]
    assert [item.seq, item.seq] == [at(1).write()] * 2


SYNCS, COLLECTIONS = ("s1", "s2", "S2", "s'3"), ("c", "c ", "é", "C")
KINDS, ORIGINS = ("created", "updated", "deleted"), ("proxy", "sync", "mutation", "sql")
INSERT = """
INSERT INTO httpproxy.event
    (sync_id, collection_id, upstream_id, event, origin, request_id, data)
VALUES (%s, %s, %s, %s, %s, 'q', %s)"""


def some(chance: random.Random, values: tuple[str, ...]) -> list[str] | None:
    """A filter: None, or any number of values, among them one that there is not."""
    if chance.random() < 0.4:
        return None
    return chance.sample((*values, "nowhere"), chance.randint(0, len(values)))


def any_wanted(chance: random.Random) -> Wanted:
    return Wanted(*(some(chance, each) for each in (SYNCS, COLLECTIONS, KINDS, ORIGINS)))


async def _fill(dsn: str, chance: random.Random, count: int) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        for _ in range(count):
            record = f"r{chance.randint(1, 12)}"
            values = (chance.choice(each) for each in (SYNCS, COLLECTIONS))
            kinds = (chance.choice(each) for each in (KINDS, ORIGINS))
            await connection.execute(INSERT, (*values, record, *kinds, Jsonb({"n": 1})))


async def test_the_ring_selects_as_the_statements_do(database_dsn: str):
    chance = random.Random(17)
    async with Database(database_dsn) as database:
        events, records = EventStream(database), RecordStream(database)
        ring: Ring[Any] = Ring(most=60)
        ring_of_records: Ring[Any] = Ring()
        ring.begin(await events.edge())
        ring_of_records.begin(await records.edge())
        places: list[Place] = [await events.edge()]
        for _ in range(4):  # in several pages, as they come
            await _fill(database_dsn, chance, 20)
            assert ring.until is not None
            new = await events.after(ring.until, ALL, 1000)
            items = tuple(Item[Any](each, dict, each.size) for each in new.events)
            ring.add(ring.until, StreamPage(items, new.next, new.end, new.reach))
            assert ring_of_records.until is not None
            changed = await records.after(ring_of_records.until, ALL, 1000)
            named = tuple(
                Item[Any](each, dict, 9, (each.sync_id, each.collection_id, each.upstream_id))
                for each in changed.records
            )
            ring_of_records.add(
                ring_of_records.until,
                StreamPage(named, changed.next, changed.end, changed.reach),
            )
            places += [each.place for each in new.events] + [new.reach]
        covered = 0
        for _ in range(60):
            place, wanted = chance.choice(places), any_wanted(chance)
            limit = chance.choice((1, 3, 1000))
            own = await events.after(place, wanted, limit)
            shared = ring.after(place, wanted, limit, PLENTY)
            if shared is None:
                assert place < places[20], "the newest sixty are there"
                continue
            covered += 1
            assert not own.end or own.reach >= (ring.until or place)
            assert [e.place for e in shared.items] == [e.place for e in own.events]
            assert own.next <= shared.reach <= own.reach
            theirs = await records.after(place, wanted, 1000)
            ours = ring_of_records.after(place, wanted, 1000, PLENTY)
            assert ours is not None
            assert [e.place for e in ours.items] == [e.place for e in theirs.records]
            assert theirs.reach >= (ring_of_records.until or place)
        assert covered > 30
