"""What an event tells of the row as it was: of an update what changed, of a deletion all."""

from __future__ import annotations

from typing import Any

import pytest
from neighbours.syncs import followed

from httpproxy.store.commits.bulk import Loader
from httpproxy.store.commits.commit import Committer
from providers.record import Collection, ColumnType, Field, Image, ImageKind
from tests.store.world import FIELDS, ID, PAIRS, World, deletion, image

FULL: dict[str, Any] = {
    "name": 'a "quoted" \\ text,\nof two lines',
    "amount": 12.5,
    "done": True,
    "due": "2026-01-02",
    "seen": "2026-01-02T03:04:05Z",
    "tags": ["x", "y, z"],
    "blob": {"a": [1, None]},
}
TOLD = {f"f_{name}": value for name, value in FULL.items()} | {
    "f_seen": "2026-01-02T03:04:05+00:00"
}


async def changes(world: World) -> list[Any]:
    rows = await world.ask("SELECT changes FROM httpproxy.event ORDER BY seq")
    return [row["changes"] for row in rows]


async def test_an_update_tells_what_the_changed_columns_held(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(**FULL))
    await world.apply(committer, image(**{**FULL, "amount": 13, "tags": ["x"]}))
    await world.apply(committer, image(**{**FULL, "amount": 13, "tags": ["x"]}))
    await world.apply(committer, image("rec1", ImageKind.MERGE, name=None))
    await world.apply(committer, image("rec1", ImageKind.MERGE, name="again"))
    assert await changes(world) == [
        None,
        {"f_amount": 12.5, "f_tags": ["x", "y, z"]},
        {"f_name": FULL["name"]},
        {"f_name": None},
    ]


async def test_what_no_column_held_is_told_as_well(world: World, committer: Committer) -> None:
    await world.apply(committer, image(name="1", extra={"Odd": [1]}))
    await world.apply(committer, image(name="1", extra={"Odd": [2]}))
    await world.apply(committer, image(name="2", extra={"Odd": [2]}))
    assert await changes(world) == [None, {"_extra": {"Odd": [1]}}, {"f_name": "1"}]


@pytest.mark.parametrize("how", ["delete", "archive"])
async def test_a_deletion_tells_what_all_columns_held(
    world: World, committer: Committer, how: str
) -> None:
    gone = deletion() if how == "delete" else image("rec1", ImageKind.ARCHIVE)
    await world.apply(committer, image(**FULL, extra={"Odd": 1}))
    await world.apply(committer, image("rec2", name=None))
    await world.apply(committer, gone)
    assert (await changes(world))[2] == {"$id": "rec1", **TOLD, "_extra": {"Odd": 1}}


async def test_empty_columns_are_left_out_of_what_a_deletion_tells(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="1"))
    pair = Image(PAIRS.id, ("1", "2"), ImageKind.REPLACE, {"$labels": ["x"]})
    await world.apply(committer, pair)
    await world.apply(committer, deletion())
    await world.apply(committer, Image(PAIRS.id, ("1", "2"), ImageKind.DELETE))
    assert (await changes(world))[2:] == [
        {"$id": "rec1", "f_name": "1", "f_done": False},
        {"$left": "1", "$right": "2", "$labels": ["x"]},
    ]


async def test_a_record_that_is_new_tells_none_however_it_came(
    world: World, committer: Committer
) -> None:
    async with Loader(world.dsn, committer) as loader:
        await loader.load(world.commit(image("a", **FULL), start=committer.clock()))
    await world.apply(committer, image("b", **FULL))
    await world.apply(committer, image("a", **{**FULL, "done": False}))
    assert await changes(world) == [None, None, {"f_done": True}]


async def test_hundreds_of_columns_are_compared(world: World, committer: Committer) -> None:
    """More than a function of Postgres takes arguments."""
    many = [Field(f"f{n}", f"Many {n}", "string", ColumnType.TEXT) for n in range(300)]
    wide = Collection("tblTasks", "Tasks", (*FIELDS, *many))
    world.tables = await followed(world.registry, world.sync, [wide])
    values = {field.id: "1" for field in many}
    for value in ("1", "2"):
        whole = Image(wide.id, ("r",), ImageKind.REPLACE, {**values, "f299": value})
        await world.apply(committer, whole)
    await world.apply(committer, Image(wide.id, ("r",), ImageKind.DELETE))
    _, updated, deleted = await changes(world)
    assert updated == {"f299": "1"}
    assert len(deleted) == len(many) + len((ID, "done"))


async def test_a_record_is_deleted_once_whoever_says_so_and_created_when_it_is_back(
    world: World, committer: Committer
) -> None:
    """A read finds it archived where a call of the application would say that it went."""
    live, archived = image(name="1", archived=False), image(name="1", archived=True)
    gone = Image(live.collection, live.key, ImageKind.ARCHIVE)
    told: list[tuple[str, Any]] = []
    for each, expected in (
        (live, ("created", None)),
        (archived, ("deleted", {"$id": "rec1", "f_name": "1", "f_done": False})),
        (image(name="2", archived=True), None),
        (gone, None),
        (image("rec1", ImageKind.MERGE, name="3"), None),
        (live, ("created", None)),
        (image(name="2", archived=False), ("updated", {"f_name": "1"})),
        (gone, ("deleted", {"$id": "rec1", "f_name": "2"})),
        (archived, None),
        (image("rec1", ImageKind.MERGE, name="4", archived=False), ("created", None)),
        (gone, ("deleted", {"$id": "rec1", "f_name": "4"})),
        (deletion(), None),  # its row goes as well
        (live, ("created", None)),
        (image("rec2", archived=True), ("deleted", {})),
        (image("rec2", archived=False), ("created", None)),
    ):
        await world.apply(committer, each)
        if expected is not None:
            told.append(expected)
        rows = await world.ask("SELECT event, data, changes FROM httpproxy.event ORDER BY seq")
        found = [(row["event"], row["changes"]) for row in rows]
        for (event, before), (kind, wanted) in zip(found, told, strict=True):
            assert event == kind
            assert before == wanted or (before or {}).items() >= (wanted or {"": 0}).items()
    assert [row["data"] is None for row in rows] == [row["event"] == "deleted" for row in rows]
