"""Tables follow what discovery finds, and lose nothing on the way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from neighbours.syncs import followed

from httpproxy.store.commits.commit import Committer
from httpproxy.store.errors import Unavailable
from httpproxy.store.layouts import evolution
from httpproxy.store.sync.progress import Progress
from httpproxy.store.sync.states import RunKind
from providers.record import JSON, Collection, ColumnType, Field, Image, ImageKind
from tests.store.world import FIELDS, ID, PAIRS, TASKS, World, image, make_sync

T = ColumnType


def with_fields(*fields: Field) -> Collection:
    return replace(TASKS, fields=fields)


def changed(field_id: str, **changes: Any) -> Collection:
    return with_fields(*(replace(f, **changes) if f.id == field_id else f for f in FIELDS))


async def follow(world: World, found: Collection) -> None:
    world.tables = await followed(world.registry, world.sync, (found,))


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
    assert await world.ask("SELECT reason FROM httpproxy.dirty") == [
        {"reason": "fields were renamed"}
    ]


async def test_values_in_extra_follow_fields_that_swap_their_names(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image("rec1", extra={"Amount": "a lot"}))
    await world.apply(committer, image("rec2", extra={"Amount": "much", "Due Date": "soon"}))
    swapped = {"f_amount": "Due Date", "f_due": "Amount"}
    await follow(
        world,
        with_fields(*(replace(f, name=swapped.get(f.id, f.name)) for f in FIELDS)),
    )
    rows = await world.rows()
    assert rows["rec1"]["_extra"] == {"Due Date": "a lot"}
    assert rows["rec2"]["_extra"] == {"Due Date": "much", "Amount": "soon"}


async def test_the_later_word_in_extra_stays_when_a_field_takes_its_name(
    world: World, committer: Committer
) -> None:
    said: dict[str, JSON] = {"Amount": "early", "Sum": "late"}
    await world.apply(committer, image(extra=said))
    await follow(world, changed("f_amount", name="Sum"))
    assert (await world.row())["_extra"] == {"Sum": "late"}


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


async def test_a_field_that_comes_back_with_another_type_has_its_column(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="a", amount=5))
    without = with_fields(*(f for f in FIELDS if f.id not in ("f_amount", "f_name")))
    await follow(world, without)
    back = {"f_amount": T.TEXT, "f_name": T.NUMERIC}
    await follow(
        world,
        with_fields(*(replace(f, column_type=back.get(f.id, f.column_type)) for f in FIELDS)),
    )
    types = {c.field.id: c.field.column_type for c in world.tables.tables[TASKS.id].columns}
    assert (types["f_amount"], types["f_name"]) == (T.TEXT, T.TEXT), "the second one waits"
    row = await world.row()
    assert (row["amount"], row["name"]) == ("5", "a")


async def test_a_new_field_asks_for_all_records_in_full(world: World) -> None:
    """Their versions tell nothing of it: a sweep by versions would pass them over."""
    asked = "SELECT wants_thorough FROM httpproxy.progress WHERE wants_thorough"
    await follow(world, with_fields(*(f for f in FIELDS if f.id != "f_amount")))
    assert await world.ask(asked) == [], "what is gone asks for nothing"
    await follow(world, TASKS)
    assert await world.ask(asked) == [{"wants_thorough": True}]


async def test_a_field_that_came_during_a_listing_has_its_values_after_the_next(
    world: World, committer: Committer
) -> None:
    progress, table = Progress(world.database), world.tables.tables[TASKS.id]
    wanted: list[bool] = []
    run = await progress.begin_run(table, RunKind.BACKFILL, 0, thorough=True, mark=None)
    await world.apply(committer, image("rec1", name="a"))
    await follow(world, with_fields(*FIELDS, Field("f_score", "Score", "number", T.NUMERIC)))
    for n in range(2):
        if n:
            await world.ask("UPDATE httpproxy.progress SET asked_at = now()")
            run = await progress.begin_run(table, RunKind.SWEEP, 0, thorough=True, mark=None)
        run = await progress.turn_page(table, run, [("rec1",)], None)
        await progress.end_run(table, run)
        (state, _) = await progress.states(world.sync.id)
        wanted.append(state.wants_thorough)
    assert wanted == [True, False]


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


async def test_a_view_on_another_column_keeps_no_type(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(amount=1))
    await world.ask(f"CREATE VIEW mine AS SELECT name FROM {world.table}")
    await follow(world, changed("f_amount", column_type=T.TEXT))
    assert (await world.row())["amount"] == "1"


async def test_a_column_changes_its_type_once_its_view_is_gone(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(amount=1))
    await world.ask(f"CREATE VIEW mine AS SELECT amount FROM {world.table}")
    await follow(world, changed("f_amount", column_type=T.TEXT))
    await world.apply(committer, image("rec2", amount=None, extra={"Amount": "a lot"}))
    await world.ask("DROP VIEW mine")
    await follow(world, changed("f_amount", column_type=T.TEXT))
    rows = await world.rows()
    assert (rows["rec1"]["amount"], rows["rec2"]["amount"]) == ("1", "a lot")
    assert rows["rec2"]["_extra"] == {}


async def test_columns_and_tables_that_the_user_dropped_are_made_again(
    world: World, committer: Committer
) -> None:
    await world.ask(f"ALTER TABLE {world.table} DROP COLUMN amount")
    await follow(world, TASKS)
    assert await world.ask(f"SELECT amount FROM {world.table}") == []
    await world.apply(committer, image(amount=3))
    assert (await world.row())["amount"] == 3
    await world.ask(f"DROP TABLE {world.table}")
    await follow(world, TASKS)
    assert await world.rows() == {}
    assert await world.ask("SELECT reason FROM httpproxy.dirty") == [
        {"reason": "the table was repaired"}
    ]


async def test_a_collection_that_is_gone_keeps_its_table_and_comes_back(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="a"))
    following, progress = world.registry.following, Progress(world.database)

    async def removed() -> list[bool]:
        return [state.removed for state in await progress.states(world.sync.id)]

    gone = await following.follow(world.sync.id, (), gone=(TASKS.id,))
    assert (gone.changed, await removed()) == (True, [True, False])
    assert await world.names() == {"rec1": "a"}
    again = await following.follow(world.sync.id, (), gone=(TASKS.id,))
    assert not again.changed
    await follow(world, TASKS)
    assert await removed() == [False, False]
    assert await world.ask("SELECT reason FROM httpproxy.dirty") == [{"reason": "it is back"}]


async def test_a_new_collection_gets_a_table(world: World, committer: Committer) -> None:
    people = Collection("tblPeople", "People", (ID, Field("p", "Name", "t", T.TEXT)))
    world.tables = await followed(world.registry, world.sync, (people,))
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


async def test_what_a_call_said_by_an_older_layout_is_read_again(
    world: World, committer: Committer
) -> None:
    """Its answer names fields by their names, and two may have swapped theirs."""
    stale = world.tables
    await follow(world, changed("f_name", name="Title"))
    await world.ask("DELETE FROM httpproxy.dirty")
    await world.apply(committer, image("rec1", name="by the new layout"))
    world.tables = stale
    for origin, record in (("sync", "rec2"), ("proxy", "rec3")):
        said = world.commit(image(record, name="x"), start=committer.clock(), origin=origin)
        await committer.commit(said)
    assert await world.ask("SELECT record_id, reason FROM httpproxy.dirty") == [
        {"record_id": "rec3", "reason": "it was read by an older layout of its table"}
    ]


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
            await followed(world.registry, world.sync, (with_fields(*fields),))

    async with asyncio.timeout(60):
        await asyncio.gather(change(), *(write(n) for n in range(8)))
    assert set((await world.names()).values()) == {"9"}


async def test_a_table_that_somebody_holds_is_given_up_after_all_others_have_followed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = Field("$since", "since", "moment", T.TIMESTAMPTZ, column_name="since")
    pairs = replace(PAIRS, fields=(*PAIRS.fields, more))
    monkeypatch.setattr("httpproxy.store.layouts.steps.LOCK_TIMEOUT", "50ms")
    async with await psycopg.AsyncConnection.connect(world.dsn) as connection:
        await connection.execute(f"LOCK TABLE {world.table}")
        titled = changed("f_name", name="Title")
        with pytest.raises(Unavailable, match="Tasks"):
            await followed(world.registry, world.sync, (titled, pairs))
    tables = await world.registry.tables(world.sync)
    assert "$since" in tables.tables[PAIRS.id].names
    await follow(world, changed("f_name", name="Title"))
    assert world.tables.tables[TASKS.id].names["f_name"] == "title"


async def test_a_trigger_of_the_users_keeps_one_table_from_following_and_no_other(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(extra={"Amount": "a lot"}))
    await world.ask(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION 'not today'; END$$"
    )
    await world.ask(
        f"CREATE TRIGGER mine BEFORE UPDATE ON {world.table} EXECUTE FUNCTION refuse()"
    )
    people = Collection("tblPeople", "People", (ID, Field("p", "Name", "t", T.TEXT)))
    renamed = changed("f_amount", name="Sum")
    followed = await world.registry.following.follow(world.sync.id, (renamed, people))
    assert followed.changed
    assert [(r.table, r.why) for r in followed.refused] == [("Tasks", "not today")]


async def test_a_table_of_1500_columns_is_made_and_takes_no_more(world: World) -> None:
    fields = tuple(Field(f"f{n}", f"Field {n}", "t", T.TEXT) for n in range(1500))
    wide = Collection("c", "Wide", (ID, *fields))
    sync = await make_sync(world.registry, "wide", (wide,))
    own = World(
        world.dsn, world.database, world.registry, sync, await world.registry.tables(sync)
    )
    more = replace(wide, fields=(*wide.fields, Field("late", "Late", "t", T.TEXT)))
    own.tables = await followed(world.registry, sync, (more,))
    assert len(own.tables.tables["c"].columns) == evolution.MAX_COLUMNS - 3
    async with Committer(world.dsn) as committer:
        values: dict[str, JSON] = {"f0": "0", "f1499": "1499", "late": "late"}
        for _ in range(2):
            await own.apply(committer, Image("c", ("r",), ImageKind.REPLACE, values))
    (row,) = await world.ask(f'SELECT * FROM "{sync.schema_name}".wide')
    assert row["field_0"] == "0"
    assert row["_extra"] == {"Field 1499": "1499", "Late": "late"}
    again = await world.registry.following.follow(sync.id, (more,))
    assert not again.changed, "what has no room is not tried again and again"


def test_dropped_columns_go_on_counting() -> None:
    """Postgres ends at 1,600 with them."""
    one = Collection("c", "C", (ID, Field("f", "F", "t", T.TEXT)))
    present = evolution.Present(frozenset({"id"}), dropped=evolution.MAX_COLUMNS - 4)
    kept = (evolution.Kept(ID, "id"),)
    assert evolution.plan(kept, one, present).fields[1].column is None
    assert evolution.plan(kept, one, replace(present, dropped=0)).fields[1].column == "f"


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


async def test_the_options_of_a_field_are_known_and_follow(world: World) -> None:
    async def options() -> tuple[str, ...] | None:
        tables = await world.registry.tables(world.sync)
        return tables.tables[TASKS.id].collection.by_id["f_name"].options

    def with_options(*names: str) -> Collection:
        return replace(
            TASKS,
            fields=tuple(
                replace(f, options=names or None) if f.id == "f_name" else f
                for f in TASKS.fields
            ),
        )

    assert await options() is None
    assert (
        await world.registry.following.follow(world.sync.id, [with_options("a", "b")])
    ).changed
    assert await options() == ("a", "b")
    same = await world.registry.following.follow(world.sync.id, [with_options("a", "b")])
    assert not same.changed
    await followed(world.registry, world.sync, [with_options("b", "c")])
    assert await options() == ("b", "c")
