"""Fields of another type: what follows by itself, and what waits for a word."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from neighbours.syncs import followed

from httpproxy.store.commits.commit import Committer
from httpproxy.store.layouts.evolution import WIDER, widens
from providers.record import JSON, Collection, ColumnType, Field, Image, ImageKind
from providers.values import Misfit, fit
from tests.store.world import ID, World, make_sync

T = ColumnType
Case = tuple[ColumnType, JSON, ColumnType, Any, dict[str, Any]]

# from, value, to, the column then, and `_extra` then
WIDENED: dict[str, Case] = {
    "number to text": (T.NUMERIC, "1.50", T.TEXT, "1.50", {}),
    "boolean to text": (T.BOOLEAN, True, T.TEXT, "true", {}),
    "date to text": (T.DATE, "2024-02-29", T.TEXT, "2024-02-29", {}),
    "array to text": (T.TEXT_ARRAY, ["a", "b"], T.TEXT, '["a", "b"]', {}),
    "number to json": (T.NUMERIC, 3, T.JSONB, 3, {}),
    "text to json": (T.TEXT, "3", T.JSONB, "3", {}),
    "array to json": (T.TEXT_ARRAY, ["a"], T.JSONB, ["a"], {}),
    "text to array": (T.TEXT, "one, two", T.TEXT_ARRAY, ["one, two"], {}),
    "number to array": (T.NUMERIC, 2, T.TEXT_ARRAY, ["2"], {}),
    "date to moment": (
        T.DATE,
        "2024-02-29",
        T.TIMESTAMPTZ,
        datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC),
        {},
    ),
}
NARROWED: dict[str, Case] = {
    "json to text": (T.JSONB, {"a": 1}, T.TEXT, '{"a": 1}', {}),
    "json string to text": (T.JSONB, "plain", T.TEXT, "plain", {}),
    "text to number": (T.TEXT, " no", T.NUMERIC, None, {"Field": " no"}),
    "numeric text to number": (T.TEXT, "12.5", T.NUMERIC, Decimal("12.5"), {}),
    "text to boolean": (T.TEXT, "maybe", T.BOOLEAN, None, {"Field": "maybe"}),
    "true text to boolean": (T.TEXT, "TRUE", T.BOOLEAN, True, {}),
    "text to date": (T.TEXT, "2024-02-30", T.DATE, None, {"Field": "2024-02-30"}),
    "today is no date": (T.TEXT, "today", T.DATE, None, {"Field": "today"}),
    "array to number": (T.TEXT_ARRAY, ["1"], T.NUMERIC, None, {"Field": ["1"]}),
    "mixed json to array": (T.JSONB, ["a", 1], T.TEXT_ARRAY, None, {"Field": ["a", 1]}),
    "json to array": (T.JSONB, ["a", "b"], T.TEXT_ARRAY, ["a", "b"], {}),
    "number to boolean": (T.NUMERIC, 1, T.BOOLEAN, None, {"Field": 1}),
    "midnight to date": (
        T.TIMESTAMPTZ,
        "2024-02-29T00:00:00Z",
        T.DATE,
        datetime.date(2024, 2, 29),
        {},
    ),
    "moment to date": (
        T.TIMESTAMPTZ,
        "2024-02-29T10:30:00Z",
        T.DATE,
        None,
        {"Field": "2024-02-29T10:30:00+00:00"},
    ),
}


@dataclass
class OneField:
    """A sync with one field, and what its record is in the table."""

    world: World
    committer: Committer
    collection: Collection

    async def say(self, value: JSON, record: str = "r") -> None:
        """Commits a value as an answer of the API that is read with what we know."""
        field = self.world.tables.schema.collections[0].by_id["f"]
        try:
            values, extra = {"f": fit(field.column_type, value)}, {}
        except Misfit:
            values, extra = {"f": None}, {field.name: value}
        image = Image("c", (record,), ImageKind.REPLACE, values, extra)
        await self.world.apply(self.committer, image)

    async def become(self, **changes: Any) -> None:
        """The field is another one upstream, and the tables follow."""
        fields = tuple(
            replace(f, **changes) if f.id == "f" else f for f in self.collection.fields
        )
        self.collection = replace(self.collection, fields=fields)
        self.world.tables = await followed(
            self.world.registry, self.world.sync, (self.collection,)
        )

    async def accept(self) -> None:
        """Somebody accepts what waits."""
        accepted = {"c": frozenset({"f"})}
        following = self.world.registry.following
        await following.follow(self.world.sync.id, (self.collection,), accepted=accepted)
        self.world.tables = await self.world.registry.tables(self.world.sync)

    @property
    def type(self) -> ColumnType:
        return self.world.tables.schema.collections[0].by_id["f"].column_type

    @property
    def sql(self) -> str:
        return f'"{self.world.sync.schema_name}".retyped'

    async def pending(self) -> str | None:
        rows = await self.world.ask(
            "SELECT pending_type FROM httpproxy.field f JOIN httpproxy.collection c"
            " ON c.id = f.collection_id AND c.sync_id = %s WHERE f.upstream_id = 'f'",
            self.world.sync.id,
        )
        found: str | None = rows[0]["pending_type"]
        return found

    async def row(self, record: str = "r") -> tuple[Any, dict[str, Any]]:
        query = f"SELECT field, _extra FROM {self.sql} WHERE id = %s"
        (row,) = await self.world.ask(query, record)
        return row["field"], row["_extra"]


@asynccontextmanager
async def one_field(world: World, of: ColumnType, **more: Any) -> AsyncIterator[OneField]:
    collection = Collection("c", "Retyped", (ID, Field("f", "Field", "t", of, **more)))
    sync = await make_sync(world.registry, "retyping", (collection,))
    tables = await world.registry.tables(sync)
    async with Committer(world.dsn) as committer:
        own = World(world.dsn, world.database, world.registry, sync, tables)
        yield OneField(own, committer, collection)


def test_widening_is_what_the_cases_show() -> None:
    for old, _, new, _, _ in WIDENED.values():
        assert widens(old, new)
    for old, _, new, _, _ in NARROWED.values():
        assert not widens(old, new)
    assert all(why for reasons in WIDER.values() for why in reasons.values())


@pytest.mark.parametrize("case", WIDENED)
async def test_a_wider_type_is_followed_by_itself(case: str, world: World) -> None:
    old, value, new, column, extra = WIDENED[case]
    async with one_field(world, old) as one:
        await one.say(value)
        await one.become(column_type=new)
        assert one.type is new
        assert await one.row() == (column, extra)
        assert await one.pending() is None


@pytest.mark.parametrize("case", NARROWED)
async def test_a_narrower_type_waits_and_then_keeps_what_does_not_fit(
    case: str, world: World
) -> None:
    old, value, new, column, extra = NARROWED[case]
    async with one_field(world, old) as one:
        await one.say(value)
        before = await one.row()
        await one.become(column_type=new)
        assert (one.type, await one.pending()) == (old, new.value)
        assert await one.row() == before
        await one.accept()
        assert (one.type, await one.pending()) == (new, None)
        assert await one.row() == (column, extra)


# the column's type, the field's, what is said meanwhile, the column then
WHILE_WAITING: dict[str, tuple[ColumnType, ColumnType, JSON, Any]] = {
    "a number in a text column": (T.TEXT, T.NUMERIC, 12.5, "12.5"),
    "a boolean in a text column": (T.TEXT, T.BOOLEAN, True, "true"),
    "a date in a text column": (T.TEXT, T.DATE, "2024-02-29", "2024-02-29"),
    "a date in a column of moments": (
        T.TIMESTAMPTZ,
        T.DATE,
        "2024-02-29",
        datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC),
    ),
    "a text in a json column": (T.JSONB, T.TEXT, "plain", "plain"),
}


@pytest.mark.parametrize("case", WHILE_WAITING)
async def test_a_column_that_waits_goes_on_being_filled(case: str, world: World) -> None:
    old, new, value, column = WHILE_WAITING[case]
    async with one_field(world, old) as one:
        await one.become(column_type=new)
        await one.say(value)
        assert await one.row() == (column, {})


async def test_what_a_waiting_column_cannot_hold_is_in_it_once_it_is_accepted(
    world: World,
) -> None:
    async with one_field(world, T.NUMERIC) as one:
        await one.say(1, "old")
        await one.become(column_type=T.BOOLEAN)
        await one.say(True)
        assert await one.row() == (None, {"Field": True})
        await one.accept()
        assert await one.row() == (True, {})
        assert await one.row("old") == (None, {"Field": 1})


async def test_what_waited_beside_a_column_moves_into_the_text_that_it_becomes(
    world: World,
) -> None:
    async with one_field(world, T.DATE) as one:
        for record, value in (("number", 5), ("boolean", True), ("list", ["a"])):
            await one.say(value, record)
        await one.become(column_type=T.TEXT)
        assert await one.row("number") == ("5", {})
        assert await one.row("boolean") == ("true", {})
        assert await one.row("list") == (None, {"Field": ["a"]}), "a list is no text"


async def test_only_the_column_of_a_removed_field_is_dropped(world: World) -> None:
    async with one_field(world, T.TEXT) as one:
        following, sync_id = world.registry.following, one.world.sync.id
        with pytest.raises(LookupError):
            await following.drop_column(sync_id, "c", "f")
        without = replace(one.collection, fields=(ID,))
        await following.follow(sync_id, (without,))
        await following.drop_column(sync_id, "c", "f")
        with pytest.raises(LookupError):
            await following.drop_column(sync_id, "c", "f")
        await one.become()
        await one.say("again")
        assert await one.row() == ("again", {})


async def test_an_omitted_cell_of_a_waiting_column_is_said_in_its_own_type(
    world: World,
) -> None:
    """A checkbox that is left out means false, which a column of dates cannot hold."""
    for old, empty in ((T.TEXT, "false"), (T.DATE, None)):
        async with one_field(world, old) as one:
            await one.become(column_type=T.BOOLEAN, empty=False)
            assert one.world.tables.schema.collections[0].by_id["f"].empty == empty
            image = Image("c", ("r",), ImageKind.REPLACE, {})
            assert (await one.world.apply(one.committer, image)).rows == 1
            assert await one.row() == (empty, {})
            await one.accept()
            assert one.world.tables.schema.collections[0].by_id["f"].empty is False
            await world.registry.delete_sync(one.world.sync, drop_tables=True)


async def test_a_field_that_has_its_old_type_again_waits_no_longer(world: World) -> None:
    async with one_field(world, T.TEXT) as one:
        await one.become(column_type=T.NUMERIC)
        await one.become(column_type=T.TEXT)
        assert (one.type, await one.pending()) == (T.TEXT, None)


async def test_a_column_that_waited_widens_when_its_field_does(world: World) -> None:
    async with one_field(world, T.TEXT) as one:
        await one.say("a")
        await one.become(column_type=T.NUMERIC)
        await one.become(column_type=T.JSONB)
        assert (one.type, await one.pending()) == (T.JSONB, None)
        assert await one.row() == ("a", {})


async def test_renamed_and_retyped_at_once_loses_neither_name_nor_value(world: World) -> None:
    async with one_field(world, T.TEXT) as one:
        await one.say("many", "old")
        await one.become(name="Count", column_type=T.NUMERIC)
        await one.say(5)
        query = f"SELECT id, count, _extra FROM {one.sql} ORDER BY id"
        assert await world.ask(query) == [
            {"id": "old", "count": "many", "_extra": {}},
            {"id": "r", "count": "5", "_extra": {}},
        ]
        await one.accept()
        assert await world.ask(query) == [
            {"id": "old", "count": None, "_extra": {"Count": "many"}},
            {"id": "r", "count": Decimal(5), "_extra": {}},
        ]


async def test_renamed_and_widened_at_once_loses_nothing(world: World) -> None:
    async with one_field(world, T.NUMERIC) as one:
        await one.say(1, "old")
        await one.say("a lot")
        await one.become(name="Count", column_type=T.TEXT)
        assert await world.ask(f"SELECT id, count, _extra FROM {one.sql} ORDER BY id") == [
            {"id": "old", "count": "1", "_extra": {}},
            {"id": "r", "count": "a lot", "_extra": {}},
        ]


async def test_what_a_rule_of_the_users_refuses_waits_and_stops_nothing_else(
    world: World,
) -> None:
    """A constraint on numbers has no meaning for texts."""
    async with one_field(world, T.NUMERIC) as one:
        await world.ask(f"ALTER TABLE {one.sql} ADD CHECK (field > 0)")
        more = Field("g", "Other", "t", T.TEXT)
        one.collection = replace(one.collection, fields=(*one.collection.fields, more))
        await one.become(column_type=T.TEXT)
        assert (one.type, await one.pending()) == (T.NUMERIC, "text")
        assert "g" in one.world.tables.tables["c"].names
        await one.say("12")
        await one.say("a lot", "other")
        assert await one.row() == (Decimal(12), {})
        assert await one.row("other") == (None, {"Field": "a lot"})


async def test_a_key_keeps_its_type_whatever_is_accepted(world: World) -> None:
    async with one_field(world, T.TEXT) as one:
        fields = (replace(ID, column_type=T.JSONB), *one.collection.fields[1:])
        found = replace(one.collection, fields=fields)
        accepted = {"c": frozenset({ID.id})}
        await world.registry.following.follow(one.world.sync.id, (found,), accepted=accepted)
        tables = await world.registry.tables(one.world.sync)
        assert tables.tables["c"].key[0].field.column_type is T.TEXT
