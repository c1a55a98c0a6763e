"""Tables follow what discovery finds, and lose nothing on the way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from httpproxy.store import evolution
from httpproxy.store.commit import Committer
from httpproxy.store.errors import Unavailable
from providers.record import JSON, Collection, ColumnType, Field, Image, ImageKind
from tests.store.world import FIELDS, ID, TASKS, World, image, make_sync

T = ColumnType


def with_fields(*fields: Field) -> Collection:
    return replace(TASKS, fields=fields)


def changed(field_id: str, **changes: Any) -> Collection:
    return with_fields(*(replace(f, **changes) if f.id == field_id else f for f in FIELDS))


async def follow(world: World, found: Collection) -> None:
    world.tables = await world.registry.follow(world.sync, (found,))


async def test_a_new_field_gets_a_column_and_its_values_move_over(
    world: World, committer: Committer
) -> None:
    waiting: dict[str, JSON] = {"Score": 7, "Other": "x"}
    await world.apply(committer, image(name="a", extra=waiting))
    await world.apply(committer, image("rec2", name="b", extra={"Score": "many"}))
    await follow(world, with_fields(*FIELDS, Field("f_score", "Score", "number", T.NUMERIC)))
    rows = await world.rows()
    assert (rows["rec1"]["score"], rows["rec1"]["_extra"]) == (7, {"Other": "x"})
    assert (rows["rec2"]["score"], rows["rec2"]["_extra"]) == (None, {"Score": "many"})
    await world.apply(committer, image(name="a", score=8))
    assert (await world.row())["score"] == 8
    assert await world.ask("SELECT reason FROM httpproxy.dirty") == [
        {"reason": "fields were added"}
    ]


async def test_a_renamed_field_renames_its_column_and_a_view_on_it_goes_on(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="a", amount=1, extra={"Name ": 1}))
    await world.ask(f"CREATE VIEW mine AS SELECT id, name, amount FROM {world.table}")
    await follow(world, changed("f_name", name="Full Title"))
    row = await world.row()
    assert row["full_title"] == "a"
    assert "name" not in row
    await world.apply(committer, image(name="b", amount=2))
    assert await world.ask("SELECT * FROM mine") == [
        {"id": "rec1", "name": "b", "amount": Decimal(2)}
    ]


async def test_two_fields_that_swap_their_names_keep_their_values(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="n", blob="b"))
    swapped = {"f_name": "Blob", "f_blob": "Name"}
    await follow(
        world,
        with_fields(*(replace(f, name=swapped.get(f.id, f.name)) for f in FIELDS)),
    )
    row = await world.row()
    assert (row["blob"], row["name"]) == ("n", "b")


async def test_values_in_extra_follow_a_renamed_field(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(extra={"Amount": "a lot"}))
    await follow(world, changed("f_amount", name="Sum"))
    row = await world.row()
    assert (row["sum"], row["_extra"]) == (None, {"Sum": "a lot"})


async def test_what_was_said_under_a_new_name_before_the_rename_was_known_is_in_the_column(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image("rec1", extra={"Full Title": "early"}))
    await world.apply(committer, image("rec2", name="b", amount=2))
    await follow(world, changed("f_name", name="Full Title"))
    rows = await world.rows()
    assert (rows["rec1"]["full_title"], rows["rec1"]["_extra"]) == ("early", {})
    assert (rows["rec2"]["full_title"], rows["rec2"]["amount"]) == ("b", 2)


async def test_what_did_not_fit_a_columns_old_type_is_in_it_once_it_fits(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image("rec1", amount=None, extra={"Amount": "many"}))
    await follow(world, changed("f_amount", type="singleLineText", column_type=T.TEXT))
    row = await world.row()
    assert (row["amount"], row["_extra"]) == ("many", {})


async def test_a_removed_field_keeps_its_column_and_values(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="a", amount=5))
    await follow(world, with_fields(*(f for f in FIELDS if f.id != "f_amount")))
    assert "f_amount" not in world.tables.tables[TASKS.id].names
    await world.apply(committer, image(name="b"))
    assert (await world.row())["amount"] == 5
    await follow(world, TASKS)
    await world.apply(committer, image(name="b", amount=6))
    assert (await world.row())["amount"] == 6


async def test_a_column_that_a_view_shows_keeps_its_type_and_loses_nothing(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(amount=1))
    await world.ask(f"CREATE VIEW mine AS SELECT amount FROM {world.table}")
    before = world.tables.tables[TASKS.id].version
    await follow(world, changed("f_amount", column_type=T.TEXT))
    assert world.tables.schema.collections[0].by_id["f_amount"].column_type is T.NUMERIC
    await world.apply(committer, image(amount=None, extra={"Amount": "a lot"}))
    row = await world.row()
    assert (row["amount"], row["_extra"]) == (None, {"Amount": "a lot"})
    settled = world.tables.tables[TASKS.id].version
    await follow(world, changed("f_amount", column_type=T.TEXT))
    assert world.tables.tables[TASKS.id].version == settled
    assert settled <= before + 1


async def test_a_new_collection_gets_a_table(world: World, committer: Committer) -> None:
    people = Collection("tblPeople", "People", (ID, Field("p", "Name", "t", T.TEXT)))
    world.tables = await world.registry.follow(world.sync, (people,))
    await world.apply(committer, Image("tblPeople", ("r",), ImageKind.REPLACE, {"p": "Ann"}))
    rows = await world.ask(f'SELECT id, name FROM "{world.sync.schema_name}".people')
    assert rows == [{"id": "r", "name": "Ann"}]
    assert set(world.tables.tables) == {TASKS.id, "associations_a_b", "tblPeople"}


async def test_following_what_is_already_so_changes_nothing(world: World) -> None:
    before = await world.registry.changed_since(0)
    await follow(world, TASKS)
    assert await world.registry.changed_since(0) == before


async def test_a_column_of_the_users_own_is_not_taken(world: World) -> None:
    await world.ask(f"ALTER TABLE {world.table} ADD COLUMN score text DEFAULT 'mine'")
    await follow(world, with_fields(*FIELDS, Field("f_score", "Score", "number", T.NUMERIC)))
    assert world.tables.tables[TASKS.id].names["f_score"] == "score_"


async def test_a_process_that_has_not_heard_of_a_change_writes_by_the_new_names(
    world: World, committer: Committer
) -> None:
    """Two columns swap names: written by the old layout, their values would be mixed up."""
    stale = world.tables
    swapped = {"f_name": "Blob", "f_blob": "Name"}
    await follow(
        world,
        with_fields(*(replace(f, name=swapped.get(f.id, f.name)) for f in FIELDS)),
    )
    world.tables = stale
    for turn in ("1", "2"):
        await world.apply(committer, image(name=f"n{turn}", blob=f"b{turn}"))
        row = await world.row()
        assert (row["blob"], row["name"]) == (f"n{turn}", f"b{turn}")


async def test_a_value_that_was_unknown_when_it_was_read_finds_its_new_column(
    world: World, committer: Committer
) -> None:
    stale = world.tables
    await follow(world, with_fields(*FIELDS, Field("f_score", "Score", "number", T.NUMERIC)))
    world.tables = stale
    for kind in (ImageKind.REPLACE, ImageKind.MERGE):
        await world.apply(committer, image(kind=kind, name="a"))  # teaches the layout
        await world.apply(committer, image(kind=kind, name="a", extra={"Score": 7}))
        row = await world.row()
        assert (row["score"], row["_extra"]) == (7, {})


async def test_an_image_read_before_a_rename_and_committed_after_it_fills_the_column(
    world: World, committer: Committer
) -> None:
    stale = world.tables
    renamed = {"f_name": "Full Title", "f_done": "Finished"}
    await follow(
        world, with_fields(*(replace(f, name=renamed.get(f.id, f.name)) for f in FIELDS))
    )
    world.tables = stale
    said: dict[str, JSON] = {"Full Title": "late", "Finished": True}
    await world.apply(committer, image(name=None, done=False, amount=1, extra=said))
    row = await world.row()
    assert (row["full_title"], row["finished"], row["amount"]) == ("late", True, 1)
    assert row["_extra"] == {}


async def test_writes_go_on_while_tables_follow(world: World, committer: Committer) -> None:
    async def write(n: int) -> None:
        for turn in range(10):
            kept = image(f"rec{n}", name=f"{turn}", extra={"Score": turn})
            assert (await world.apply(committer, kept)).rows == 1

    async def change() -> None:
        for turn in range(5):
            fields = (*FIELDS, Field("f_score", f"Score {turn}", "number", T.NUMERIC))
            await world.registry.follow(world.sync, (with_fields(*fields),))

    async with asyncio.timeout(30):
        await asyncio.gather(change(), *(write(n) for n in range(8)))
    assert set((await world.names()).values()) == {"9"}


async def test_a_table_that_somebody_holds_is_given_up_after_a_while(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("httpproxy.store.steps.LOCK_TIMEOUT", "50ms")
    async with await psycopg.AsyncConnection.connect(world.dsn) as connection:
        await connection.execute(f"LOCK TABLE {world.table}")
        with pytest.raises(Unavailable, match="Tasks"):
            await follow(world, changed("f_name", name="Title"))
    await follow(world, changed("f_name", name="Title"))
    assert world.tables.tables[TASKS.id].names["f_name"] == "title"


def test_a_full_table_leaves_further_fields_without_a_column(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(evolution, "MAX_COLUMNS", 8)
    fields = tuple(Field(f"f{n}", f"F{n}", "t", T.TEXT) for n in range(10))
    columns = [kept.column for kept in evolution.layout(Collection("c", "C", (ID, *fields)))]
    assert columns == ["id", "f0", "f1", "f2", "f3", *[None] * 6]


async def test_values_of_fields_without_a_column_are_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evolution, "MAX_COLUMNS", 5)
    fields = (ID, Field("a", "A", "t", T.TEXT), Field("b", "B", "t", T.TEXT))
    sync = await make_sync(world.registry, "wide", (Collection("c", "Wide", fields),))
    tables = await world.registry.tables(sync)
    own = World(world.dsn, world.database, world.registry, sync, tables)
    async with Committer(world.dsn) as committer:
        values: dict[str, JSON] = {"a": "1", "b": "2"}
        await own.apply(committer, Image("c", ("r",), ImageKind.REPLACE, values))
    rows = await world.ask(f'SELECT a, _extra FROM "{sync.schema_name}".wide')
    assert rows == [{"a": "1", "_extra": {"B": "2"}}]
