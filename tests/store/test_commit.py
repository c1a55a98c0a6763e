"""What a commit does to rows and events."""

from __future__ import annotations

import asyncio
import datetime
from decimal import Decimal

import pytest

from httpproxy.store.commits.commit import Commit, Committer
from providers.record import Change, Dirty, Image, ImageKind
from tests.store.world import PAIRS, TASKS, World, deletion, image

MERGE, ARCHIVE = ImageKind.MERGE, ImageKind.ARCHIVE
WHOLE = {
    "name": "Größe ✓",
    "amount": "12345678901234567890.123",
    "done": True,
    "due": "2024-02-29",
    "seen": "2024-05-01T10:00:00.123+02:00",
    "tags": ["a", "b,c", ""],
    "blob": {"nested": [1, None, {"x": "y"}]},
}


async def test_a_row_has_the_types_of_its_columns(world: World, committer: Committer) -> None:
    assert (await world.apply(committer, image(**WHOLE))).rows == 1
    row = await world.row()
    assert row["name"] == "Größe ✓"
    assert row["amount"] == Decimal("12345678901234567890.123")
    assert row["done"] is True
    assert row["due_date"] == datetime.date(2024, 2, 29)
    assert row["seen_at"] == datetime.datetime(2024, 5, 1, 8, 0, 0, 123000, tzinfo=datetime.UTC)
    assert row["tags"] == ["a", "b,c", ""]
    assert row["blob"] == {"nested": [1, None, {"x": "y"}]}
    assert row["_extra"] == {}
    assert row["_sync_inserted_at"] == row["_sync_updated_at"]


async def test_a_whole_image_empties_what_it_does_not_name(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(**WHOLE, extra={"Odd": 1}))
    await world.apply(committer, image(amount=2))
    row = await world.row()
    assert row["name"] is None
    assert row["tags"] is None
    assert row["amount"] == 2
    assert row["done"] is False, "an omitted checkbox is unchecked"
    assert row["_extra"] == {}


async def test_a_partial_image_leaves_other_columns_alone(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(**WHOLE, extra={"Odd": 1, "Kept": 2}))
    before = await world.row()
    await world.apply(committer, image(kind=MERGE, amount=7, extra={"Odd": 3}))
    after = await world.row()
    assert after.pop("amount") == 7
    assert after.pop("_extra") == {"Odd": 3, "Kept": 2}
    assert after.pop("_sync_updated_at") > before["_sync_updated_at"]
    assert after == {name: before[name] for name in after}


async def test_a_partial_image_can_empty_a_column_and_can_be_the_first(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(kind=MERGE, name="a", amount=1))
    await world.apply(committer, image(kind=MERGE, name=None))
    row = await world.row()
    assert (row["name"], row["amount"], row["done"]) == (None, 1, None)


async def test_a_value_that_is_placed_leaves_extra(world: World, committer: Committer) -> None:
    await world.apply(committer, image(kind=MERGE, amount=None, extra={"Amount": "a lot"}))
    assert (await world.row())["_extra"] == {"Amount": "a lot"}
    await world.apply(committer, image(kind=MERGE, amount=5))
    row = await world.row()
    assert (row["amount"], row["_extra"]) == (5, {})


async def test_a_misfit_empties_its_column_also_when_only_extra_names_it(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="a", amount=1))
    await world.apply(committer, image(kind=MERGE, extra={"Amount": "a lot"}))
    row = await world.row()
    assert (row["name"], row["amount"], row["_extra"]) == ("a", None, {"Amount": "a lot"})


async def test_events_tell_what_changed_and_nothing_else(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="a", updated_at="2024-05-01T10:00:00Z"))
    await world.apply(committer, image(name="a"))
    await world.apply(committer, image(kind=MERGE, name="a"))
    await world.apply(committer, image(name="b"))
    await world.apply(committer, deletion())
    await world.apply(committer, deletion())
    assert await world.events() == [
        ("rec1", "created"),
        ("rec1", "updated"),
        ("rec1", "deleted"),
    ]
    first = (await world.ask("SELECT * FROM httpproxy.event ORDER BY seq LIMIT 1"))[0]
    assert first["sync_id"] == world.sync.id
    assert first["collection_id"] == TASKS.id
    assert first["data"] == {"id": "rec1", "name": "a"}
    assert first["origin"] == "proxy"
    assert first["request_id"].startswith("request ")
    assert first["upstream_updated_at"] == datetime.datetime(
        2024, 5, 1, 10, tzinfo=datetime.UTC
    )


async def test_a_row_that_stays_the_same_is_not_written(
    world: World, committer: Committer
) -> None:
    place = f"SELECT xmin::text, ctid::text, * FROM {world.table}"
    await world.apply(committer, image(**WHOLE))
    before = await world.ask(place)
    await world.apply(committer, image(**WHOLE))
    assert await world.ask(place) == before


async def test_an_archived_row_stays_and_is_marked(world: World, committer: Committer) -> None:
    await world.apply(committer, image(name="a", archived=False))
    await world.apply(committer, image(kind=ARCHIVE))
    row = await world.row()
    assert (row["name"], row["archived"]) == ("a", True)
    await world.apply(committer, image("rec2", kind=ARCHIVE))
    assert list(await world.rows()) == ["rec1"], "nothing is made of an archived stranger"
    tombstones = await world.ask(
        "SELECT record_id FROM httpproxy.meta WHERE deleted ORDER BY 1"
    )
    assert [row["record_id"] for row in tombstones] == ["rec1", "rec2"]
    assert await world.events() == [("rec1", "created"), ("rec1", "deleted")]


async def test_a_record_that_is_restored_after_its_deletion_is_there_again(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="a"))
    await world.apply(committer, deletion())
    await world.apply(committer, image(name="again"))
    assert await world.names() == {"rec1": "again"}
    meta = await world.ask("SELECT deleted FROM httpproxy.meta")
    assert meta == [{"deleted": False}]


async def test_a_pair_is_a_row_of_its_own(world: World, committer: Committer) -> None:
    def pair(kind: ImageKind, labels: list[str] | None = None) -> Image:
        values = {} if labels is None else {"$labels": labels}
        return Image(PAIRS.id, ("17", "512"), kind, values)

    table = f'"{world.sync.schema_name}".associations_a_b'
    await world.apply(committer, pair(ImageKind.REPLACE, ["Boss"]))
    rows = await world.ask(f"SELECT a_id, b_id, labels FROM {table}")
    assert rows == [{"a_id": "17", "b_id": "512", "labels": ["Boss"]}]
    await world.apply(committer, pair(ImageKind.DELETE))
    assert await world.ask(f"SELECT FROM {table}") == []


async def test_a_record_that_is_named_by_a_value_is_looked_up(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="a@b.c"), image("rec2", name="d@e.f"))
    gone = Image(TASKS.id, (), ImageKind.DELETE, match=("f_name", "a@b.c"))
    # Queued behind the image that gives the record its value: looked up after it.
    await asyncio.gather(
        world.apply(committer, image("rec2", name="x@y.z")), world.apply(committer, gone)
    )
    assert await world.names() == {"rec2": "x@y.z"}
    stranger = Image(TASKS.id, (), ImageKind.DELETE, match=("f_name", "nobody"))
    assert (await world.apply(committer, stranger)).rows == 0
    dirty = await world.ask("SELECT record_id FROM httpproxy.dirty")
    assert dirty == [{"record_id": ""}], "the whole collection is read again"


async def test_a_value_that_two_records_hold_names_neither(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="twin"), image("rec2", name="twin"))
    gone = Image(TASKS.id, (), ImageKind.DELETE, match=("f_name", "twin"))
    await world.apply(committer, gone)
    assert set(await world.rows()) == {"rec1", "rec2"}
    assert len(await world.ask("SELECT FROM httpproxy.dirty")) == 1


async def test_one_answer_may_name_a_record_twice(world: World, committer: Committer) -> None:
    applied = await world.apply(
        committer,
        image(name="a", amount=1),
        image(kind=MERGE, name="b"),
        image("rec2", name="x"),
        deletion("rec2"),
    )
    assert applied.rows == 2
    row = await world.row()
    assert (row["name"], row["amount"]) == ("b", 1)
    assert list(await world.rows()) == ["rec1"]


async def test_what_an_answer_leaves_open_is_marked_in_the_same_commit(
    world: World, committer: Committer
) -> None:
    change = Change(
        (image(name="a"),),
        (Dirty(TASKS.id, ("rec7",), "linked"), Dirty(TASKS.id, None, "merged")),
    )
    await committer.commit(
        Commit(world.tables, change, committer.clock(), world.sync.id, "proxy", "r")
    )
    marks = await world.ask("SELECT record_id, key, reason FROM httpproxy.dirty ORDER BY 1")
    assert marks == [
        {"record_id": "", "key": None, "reason": "merged"},
        {"record_id": "rec7", "key": ["rec7"], "reason": "linked"},
    ]


async def test_many_exchanges_share_few_transactions(
    world: World, committer: Committer
) -> None:
    applied = await asyncio.gather(
        *(world.apply(committer, image(f"rec{n}", name=f"{n}")) for n in range(200))
    )
    assert {one.rows for one in applied} == {1}
    assert len(await world.rows()) == 200
    used = await world.ask("SELECT count(DISTINCT transaction) AS n FROM httpproxy.event")
    assert used[0]["n"] <= 5


async def test_two_exchanges_about_one_record_go_one_after_the_other(
    world: World, committer: Committer
) -> None:
    start = committer.clock()
    first, second, third = await asyncio.gather(
        *(world.apply(committer, image(name=name), start=start) for name in "abc")
    )
    assert (first.rows, len(second.overlaps), len(third.overlaps)) == (1, 1, 1)
    assert (await world.row())["name"] == "a"


async def test_a_commit_of_an_unknown_collection_is_refused_at_once(
    world: World, committer: Committer
) -> None:
    with pytest.raises(LookupError, match="tblOther"):
        await world.apply(committer, Image("tblOther", ("rec1",), ImageKind.DELETE))


async def test_the_users_own_columns_views_and_indexes_are_left_alone(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="a"))
    await world.ask(f"ALTER TABLE {world.table} ADD COLUMN note text")
    await world.ask(f"CREATE INDEX ON {world.table} (name)")
    await world.ask(f"UPDATE {world.table} SET note = 'mine'")
    await world.apply(committer, image(name="b"))
    row = await world.row()
    assert (row["name"], row["note"]) == ("b", "mine")
