"""Rows as they are now, and since when the schema is as it is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from neighbours.syncs import followed

from httpproxy.store.commits.commit import Committer
from httpproxy.store.errors import Stale
from httpproxy.store.sync.rows import Rows
from providers.record import Collection, Image, ImageKind
from tests.store.world import PAIRS, TASKS, World, image


@pytest.fixture
def rows(world: World) -> Rows:
    return Rows(world.database)


async def test_the_rows_of_some_keys_are_told_by_column(
    world: World, committer: Committer, rows: Rows
) -> None:
    for name in ("a", "b"):
        await world.apply(committer, image(name, name=name, amount=5, tags=["x"]))
    found = await rows.of_keys(world.tables.tables[TASKS.id], [("a",), ("nobody",), ("b",)])
    assert set(found) == {("a",), ("b",)}
    row = found["a",]
    assert (row["id"], row["name"], row["amount"], row["tags"]) == ("a", "a", 5, ["x"])
    assert await rows.of_keys(world.tables.tables[TASKS.id], []) == {}


async def test_a_row_is_found_by_a_value_that_only_it_has(
    world: World, committer: Committer, rows: Rows
) -> None:
    for name in ("a", "b", "b2"):
        await world.apply(committer, image(name, name=name[0]))
    found = await rows.of_value(world.tables.tables[TASKS.id], "f_name", "a")
    assert found is not None
    assert found["id"] == "a"
    assert await rows.of_value(world.tables.tables[TASKS.id], "f_name", "b") is None
    assert await rows.of_value(world.tables.tables[TASKS.id], "f_name", "nobody") is None
    assert await rows.of_value(world.tables.tables[TASKS.id], "no such field", "a") is None


async def test_a_pair_is_found_by_both_ends(
    world: World, committer: Committer, rows: Rows
) -> None:
    for key in (("1", "2"), ("2", "1")):
        await world.apply(committer, Image(PAIRS.id, key, ImageKind.REPLACE))
    found = await rows.of_keys(world.tables.tables[PAIRS.id], [("2", "1"), ("1", "1")])
    assert [(row["a_id"], row["b_id"]) for row in found.values()] == [("2", "1")]


async def test_another_layout_is_said_so(world: World, rows: Rows) -> None:
    known = world.tables.tables[TASKS.id]
    for elsewhere in (replace(known, version=99), replace(known, version=99, name="gone")):
        with pytest.raises(Stale):
            await rows.of_keys(elsewhere, [("a",)])


async def test_a_table_that_its_user_dropped_has_no_rows(world: World, rows: Rows) -> None:
    dropped = replace(world.tables.tables[TASKS.id], name="gone")
    assert await rows.of_keys(dropped, [("a",)]) == {}


async def test_discovery_is_remembered_by_collection(world: World, rows: Rows) -> None:
    async def told_at(*collections: Collection) -> str | None:
        return await rows.told_at(world.sync.id, [c.id for c in collections])

    first = await told_at(TASKS, PAIRS)
    assert first is not None
    await followed(world.registry, world.sync, [TASKS])
    assert str(await told_at(TASKS)) > first
    assert await told_at(TASKS, PAIRS) == first  # of both, since the older one
    await world.ask("UPDATE httpproxy.collection SET discovered_at = NULL WHERE name = 'Tasks'")
    assert await told_at(TASKS, PAIRS) is None
    assert await told_at() is None
