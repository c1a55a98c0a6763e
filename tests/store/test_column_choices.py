"""What users want of columns: none for a field, a name of their own, a name that stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from neighbours.syncs import followed

from httpproxy.store.commits.bulk import Loader
from httpproxy.store.commits.commit import Committer
from httpproxy.store.errors import Indispensable, InUse, NameTaken, SetAside, Unavailable
from httpproxy.store.layouts.choices import Choice, is_column_name
from httpproxy.store.sync.comparing import Comparing, Verdict
from providers.record import JSON, Collection, ColumnType, Field, Image, ImageKind
from tests.store.world import FIELDS, ID, TASKS, World, image

T = ColumnType
SECRET = "nobody's business"


def with_fields(*fields: Field) -> Collection:
    return replace(TASKS, fields=fields)


def changed(field_id: str, **changes: Any) -> Collection:
    return with_fields(*(replace(f, **changes) if f.id == field_id else f for f in FIELDS))


def as_airtable_spells_it(found: Image, **cells: JSON) -> Image:
    return replace(found, data={"id": found.record_id, "fields": dict(cells)})


def telling(record: str = "rec1", **values: JSON) -> Image:
    """An image that holds the secret wherever one can, beside values of other fields."""
    found = image(record, name="a", blob=SECRET, extra={"Score": 1}, **values)
    return as_airtable_spells_it(found, Name="a", Blob=SECRET)


async def choose(world: World, field_id: str, **choice: Any) -> bool:
    made = await world.registry.following.choose(
        world.sync.id, TASKS.id, field_id, Choice(**choice)
    )
    world.tables = await world.registry.tables(world.sync)
    return made


async def follow(world: World, found: Collection) -> None:
    world.tables = await followed(world.registry, world.sync, (found,))


async def columns(world: World) -> set[str]:
    found = await world.ask(
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_schema = %s AND table_name = 'tasks'",
        world.sync.schema_name,
    )
    return {row["column_name"] for row in found}


async def events(world: World) -> list[dict[str, Any]]:
    return await world.ask("SELECT * FROM httpproxy.event ORDER BY seq")


async def wants_thorough(world: World) -> bool:
    found = await world.ask(
        "SELECT p.wants_thorough FROM httpproxy.progress p JOIN httpproxy.collection c"
        " ON c.id = p.collection WHERE c.upstream_id = %s",
        TASKS.id,
    )
    return any(row["wants_thorough"] for row in found)


@pytest.fixture
async def loader(world: World, committer: Committer) -> AsyncIterator[Loader]:
    async with Loader(world.dsn, committer) as loader:
        yield loader


async def test_a_deselected_field_loses_its_column_and_what_was_beside_it(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="a", blob=[1], extra={"Blob": 7, "Score": 1}))
    assert await choose(world, "f_blob", selected=False)
    row = await world.row()
    assert "blob" not in row
    assert (row["name"], row["_extra"]) == ("a", {"Score": 1})
    assert not await choose(world, "f_blob", selected=False), "it is so already"


async def test_nothing_of_a_deselected_field_reaches_rows_or_events(
    world: World, committer: Committer
) -> None:
    await choose(world, "f_blob", selected=False)
    await world.apply(committer, telling())
    partial = image(kind=ImageKind.MERGE, blob=SECRET, name="b", extra={"Blob": SECRET})
    await world.apply(committer, as_airtable_spells_it(partial, f_name="b", f_blob=SECRET))
    gone = replace(image(kind=ImageKind.DELETE), values={})
    await world.apply(committer, as_airtable_spells_it(gone, Blob=SECRET))
    told = await events(world)
    assert [(e["event"], e["data"]["fields"]) for e in told] == [
        ("created", {"Name": "a"}),
        ("updated", {"f_name": "b"}),
        ("deleted", {}),
    ]
    assert SECRET not in str(told)


async def test_nothing_of_a_deselected_field_is_in_the_row(
    world: World, committer: Committer
) -> None:
    await choose(world, "f_blob", selected=False)
    await world.apply(committer, telling())
    assert SECRET not in str(await world.rows())


async def test_nothing_of_a_deselected_field_comes_with_a_backfill(
    world: World, loader: Loader
) -> None:
    await choose(world, "f_blob", selected=False)
    await loader.load(world.commit(telling(), telling("rec2"), start=0, origin="sync"))
    assert set(await world.rows()) == {"rec1", "rec2"}
    assert SECRET not in str(await world.rows())
    assert SECRET not in str(await events(world))
    assert [e["data"]["fields"] for e in await events(world)] == [{"Name": "a"}] * 2


async def test_whoever_has_not_heard_of_a_choice_tells_nothing_either(
    world: World, committer: Committer, loader: Loader
) -> None:
    before = world.tables
    await choose(world, "f_blob", selected=False)
    world.tables = before
    await world.apply(committer, telling())
    await loader.load(world.commit(telling("rec2"), start=0, origin="sync"))
    assert set(await world.rows()) == {"rec1", "rec2"}
    assert SECRET not in str(await world.rows())
    assert SECRET not in str(await events(world))


async def test_the_quarantine_keeps_nothing_of_a_deselected_field(
    world: World, committer: Committer
) -> None:
    await choose(world, "f_blob", selected=False)
    await world.ask(f"ALTER TABLE {world.table} ADD CHECK (name <> 'a')")
    with pytest.raises(SetAside):
        await world.apply(committer, telling())
    (kept,) = await world.ask("SELECT image FROM httpproxy.quarantine")
    assert kept["image"]["values"]["f_name"] == "a"
    assert SECRET not in str(kept)


async def test_a_value_that_does_not_fit_is_beside_the_row_only_if_its_field_is_selected(
    world: World, committer: Committer
) -> None:
    await choose(world, "f_amount", selected=False)
    await choose(world, "f_due", selected=True)
    await world.apply(committer, image(extra={"Amount": SECRET, "Due Date": "soon"}))
    assert (await world.row())["_extra"] == {"Due Date": "soon"}


async def test_what_a_deselected_field_held_is_not_told_as_what_was_before(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, telling(amount=1))
    await choose(world, "f_blob", selected=False)
    await world.apply(committer, telling(amount=2))
    await world.apply(committer, replace(image(kind=ImageKind.DELETE), values={}))
    _, updated, deleted = await events(world)
    assert updated["changes"]["f_amount"] == 1
    assert deleted["changes"]["f_name"] == "a"
    assert SECRET not in str([updated, deleted])


async def test_columns_of_a_collection_that_is_gone_can_be_chosen_until_it_is_back(
    world: World,
) -> None:
    following = world.registry.following
    await following.follow(world.sync.id, [], gone=[TASKS.id])
    await choose(world, "f_blob", selected=False)
    await choose(world, "f_name", name="headline", selected=False)
    await choose(world, "f_name", selected=True)
    assert not {"blob", "headline"} & await columns(world)
    assert all(
        each.removed
        for each in await following.layouts(world.sync.id)
        if each.table.name == "tasks"
    )
    await follow(world, TASKS)
    assert "headline" in await columns(world)
    assert "blob" not in await columns(world)


async def test_a_name_that_is_not_known_may_be_a_deselected_fields_new_one(
    world: World, committer: Committer
) -> None:
    await choose(world, "f_blob", selected=False)
    renamed = image(name="a", extra={"Diary": SECRET})
    await world.apply(committer, as_airtable_spells_it(renamed, Name="a", Diary=SECRET))
    assert (await world.row())["_extra"] == {}
    assert SECRET not in str(await events(world))
    await follow(world, changed("f_blob", name="Diary"))
    await world.apply(committer, as_airtable_spells_it(renamed, Name="a", Diary=SECRET))
    assert SECRET not in str([await world.rows(), await events(world)])
    assert not await wants_thorough(world), "nothing of it is to be read"


async def test_what_waits_under_the_new_name_of_a_deselected_field_goes_with_its_discovery(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="a", extra={"Diary": SECRET, "Score": 1}))
    await choose(world, "f_blob", selected=False)
    await follow(world, changed("f_blob", name="Diary"))
    assert (await world.row())["_extra"] == {"Score": 1}


async def test_a_deselected_field_stays_so_whatever_becomes_of_it(
    world: World, committer: Committer
) -> None:
    await choose(world, "f_blob", selected=False)
    await follow(world, changed("f_blob", name="Diary", column_type=T.TEXT))
    await follow(world, with_fields(*(f for f in FIELDS if f.id != "f_blob")))
    await follow(world, changed("f_blob", name="Blob"))
    assert not {"blob", "diary"} & await columns(world)
    await world.apply(committer, telling())
    assert SECRET not in str([await world.rows(), await events(world)])


async def test_what_is_not_selected_is_told_among_the_differences(world: World) -> None:
    await choose(world, "f_blob", selected=False)
    (told,) = await world.registry.following.compare(world.sync.id, [TASKS])
    assert (told.what, told.stage, told.named) == ("column deselected", "kept", "Blob")


async def test_a_field_that_is_selected_again_has_its_column_and_is_read_anew(
    world: World, committer: Committer
) -> None:
    await choose(world, "f_blob", selected=False)
    await world.apply(committer, telling())
    assert not await wants_thorough(world)
    assert await choose(world, "f_blob", selected=True)
    assert (await world.row())["blob"] is None
    assert await wants_thorough(world)
    await world.apply(committer, telling())
    assert (await world.row())["blob"] == SECRET
    assert [e["event"] for e in await events(world)] == ["created", "updated"]


async def test_an_image_read_while_a_field_was_deselected_finds_its_column(
    world: World, committer: Committer
) -> None:
    await choose(world, "f_blob", selected=False)
    before = world.tables
    await choose(world, "f_blob", selected=True)
    world.tables = before
    await world.apply(committer, telling())
    assert (await world.row())["blob"] == SECRET


async def test_a_row_without_a_deselected_field_is_as_the_api_says(
    world: World, committer: Committer
) -> None:
    await choose(world, "f_blob", selected=False)
    await world.apply(committer, telling())
    comparing, start = Comparing(world.database), committer.clock()
    verdicts = await comparing.compare(world.tables.tables[TASKS.id], [telling()], start)
    assert verdicts == {"rec1": Verdict.SAME}


async def test_what_a_view_shows_cannot_be_deselected(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="a", blob=1, extra={"Blob": 2}))
    await world.ask(f"CREATE VIEW mine AS SELECT id, blob FROM {world.table}")
    with pytest.raises(InUse, match="view mine"):
        await choose(world, "f_blob", selected=False)
    row = await world.row()
    assert (row["blob"], row["_extra"]) == (1, {"Blob": 2}), "all of it stays"
    await world.ask("DROP VIEW mine")
    assert await choose(world, "f_blob", selected=False)


@pytest.mark.parametrize("field_id", ["$id", "$archived"])
async def test_keys_and_system_fields_cannot_be_deselected(world: World, field_id: str) -> None:
    with pytest.raises(Indispensable):
        await choose(world, field_id, selected=False)


async def test_a_key_cannot_be_deselected_though_it_is_a_field_like_any_other(
    world: World,
) -> None:
    keyed = Collection("tblKeyed", "Keyed", (Field("f_no", "No", "n", T.TEXT),), ("f_no",))
    await follow(world, keyed)
    following = world.registry.following
    with pytest.raises(Indispensable):
        await following.choose(world.sync.id, "tblKeyed", "f_no", Choice(selected=False))


async def test_a_removed_fields_column_goes_when_it_is_deselected_and_stays_away(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, telling())
    await follow(world, with_fields(*(f for f in FIELDS if f.id != "f_blob")))
    assert "blob" in await columns(world)
    await choose(world, "f_blob", selected=False)
    assert "blob" not in await columns(world)
    await follow(world, TASKS)
    assert "blob" not in await columns(world)
    await choose(world, "f_blob", selected=True)
    assert "blob" in await columns(world)


async def test_a_column_has_the_name_that_its_user_gives_it_and_keeps_its_values(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="a"))
    await world.ask(f"CREATE VIEW mine AS SELECT id, name FROM {world.table}")
    await choose(world, "f_name", name="headline")
    assert (await world.row())["headline"] == "a"
    assert await world.ask("SELECT name FROM mine") == [{"name": "a"}]
    await world.apply(committer, image(name="b"))
    assert (await world.row())["headline"] == "b"


async def test_a_name_of_the_users_own_outlives_whatever_happens_upstream(
    world: World, committer: Committer
) -> None:
    await choose(world, "f_name", name="headline")
    await follow(world, changed("f_name", name="Title"))
    assert "headline" in await columns(world)
    await follow(world, with_fields(*(f for f in FIELDS if f.id != "f_name")))
    await follow(world, changed("f_name", name="Name again", type="longText"))
    await world.registry.following.lock_table(world.sync.id, TASKS.id, locked=True)
    await world.registry.following.lock_table(world.sync.id, TASKS.id, locked=False)
    assert "headline" in await columns(world)
    await world.ask(f"ALTER TABLE {world.table} DROP COLUMN headline")
    await follow(world, changed("f_name", name="Name"))
    await choose(world, "f_name", selected=False)
    assert "headline" not in await columns(world)
    await choose(world, "f_name", selected=True)
    assert "headline" in await columns(world)
    await world.apply(committer, image(name="a"))
    assert (await world.row())["headline"] == "a"


async def test_a_name_is_kept_free_for_its_field_while_that_has_no_column(
    world: World,
) -> None:
    await choose(world, "f_name", name="headline")
    await choose(world, "f_name", selected=False)
    await follow(world, with_fields(*FIELDS, Field("f_new", "Headline", "string", T.TEXT)))
    assert "headline_" in await columns(world)
    with pytest.raises(NameTaken):
        await choose(world, "f_done", name="headline")
    await choose(world, "f_name", selected=True)
    assert {"headline", "headline_"} <= await columns(world)


async def test_a_name_that_somebody_took_meanwhile_is_given_with_an_ending(
    world: World,
) -> None:
    await choose(world, "f_name", name="headline", selected=False)
    await world.ask(f"ALTER TABLE {world.table} ADD COLUMN headline int")
    await choose(world, "f_name", selected=True)
    assert {"headline", "headline_"} <= await columns(world)


async def test_without_a_name_of_its_own_a_column_is_called_like_its_field_again(
    world: World,
) -> None:
    await choose(world, "f_name", name="headline")
    await follow(world, changed("f_name", name="Title"))
    await choose(world, "f_name", name="")
    assert "title" in await columns(world)
    await choose(world, "f_name", name="headline")
    await choose(world, "f_name", locked=False)
    assert "title" in await columns(world)


async def test_a_system_fields_column_can_have_another_name_and_its_own_again(
    world: World, committer: Committer
) -> None:
    await choose(world, "$id", name="task_id")
    await choose(world, "$archived", name="is_gone")
    await world.apply(committer, image(name="a"))
    await world.apply(committer, image(kind=ImageKind.ARCHIVE))
    (row,) = await world.ask(f"SELECT task_id, is_gone FROM {world.table}")
    assert row == {"task_id": "rec1", "is_gone": True}
    await choose(world, "$id", name="")
    assert "id" in await columns(world)


async def test_a_name_that_is_in_use_or_ours_is_refused_and_nothing_changes(
    world: World,
) -> None:
    await world.ask(f"ALTER TABLE {world.table} ADD COLUMN mine int")
    before = await columns(world)
    for name in ("amount", "mine", "id", "_extra", "_sync_updated_at", "ctid", "Name", "a b"):
        with pytest.raises(NameTaken):
            await choose(world, "f_name", name=name)
    assert await columns(world) == before
    assert not await choose(world, "f_name", locked=False)


def test_names_of_the_users_own_are_words_of_sql() -> None:
    assert all(map(is_column_name, ("a", "due_date_2", "x" * 63, "a__b_")))
    wrong = ("", "_a", "1st", "Größe", "größe", "a-b", "a\n", "x" * 64, "xmin", '"a"', "A")
    assert not any(map(is_column_name, wrong))


async def test_a_choice_waits_for_no_table_that_somebody_holds_for_long(
    world: World,
) -> None:
    async with await psycopg.AsyncConnection.connect(world.dsn) as holder:
        await holder.execute(f"LOCK TABLE {world.table} IN ACCESS SHARE MODE")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("httpproxy.store.layouts.steps.LOCK_TIMEOUT", "50ms")
            with pytest.raises(Unavailable, match="locked"):
                await choose(world, "f_blob", selected=False)
    assert "blob" in await columns(world)


async def test_an_unknown_field_or_collection_is_told(world: World) -> None:
    with pytest.raises(LookupError):
        await choose(world, "f_none", selected=False)
    with pytest.raises(LookupError):
        await world.registry.following.choose(world.sync.id, "tblNone", "f", Choice())


async def test_commits_go_on_while_columns_come_and_go(
    world: World, committer: Committer
) -> None:
    async def toggle() -> None:
        for n in range(6):
            await world.registry.following.choose(
                world.sync.id, TASKS.id, "f_blob", Choice(selected=n % 2 == 1)
            )

    async def write(record: str) -> None:
        for n in range(10):
            await world.apply(committer, telling(record, amount=n))

    await asyncio.gather(toggle(), *(write(f"rec{n}") for n in range(3)))
    await choose(world, "f_blob", selected=False)
    rows = await world.rows()
    assert {row["amount"] for row in rows.values()} == {9}
    assert SECRET not in str(rows)


def test_a_field_without_a_column_keeps_the_key_where_it_is(world: World) -> None:
    table = world.tables.tables[TASKS.id]
    assert [column.field for column in table.key] == [ID]
