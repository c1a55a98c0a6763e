"""What events tell of values as they were, when columns have changed hands since."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from neighbours.syncs import followed

from httpproxy.store.commits.commit import Committer
from httpproxy.store.streams.places import Wanted
from httpproxy.store.streams.shapes import Shapes
from httpproxy.store.streams.stream import EventStream
from httpproxy.streams.telling import told_event
from providers.record import Collection
from tests.store.world import FIELDS, World, deletion, image, said

HUGE = "12345678901234567890.125"


async def told(world: World) -> list[dict[str, Any] | None]:
    """`changes` of all events, as readers have them now; by one page, and one by one."""
    stream, shapes = EventStream(world.database), Shapes(world.database)
    shape = (await shapes.of([world.sync.id]))[world.sync.id]
    events = said(await stream.after(None, Wanted(), 100))
    assert [await stream.event(each.event_id) for each in events] == events
    return [told_event(each, shape).changes for each in events]


async def follow(world: World, **names: str | None) -> None:
    """Fields have other names upstream from now on; None: they are removed."""
    fields = [replace(f, name=names.get(f.id) or f.name) for f in FIELDS]
    kept = tuple(f for f in fields if names.get(f.id, "") is not None)
    world.tables = await followed(
        world.registry, world.sync, [Collection("tblTasks", "Tasks", kept)]
    )


async def test_columns_that_have_changed_hands_are_told_as_the_fields_that_they_were(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="a", amount=1))
    await world.apply(committer, image(name="b", amount=2))
    await follow(world, f_name="Amount", f_amount="Name")
    await world.apply(committer, image(name="c", amount=3))
    assert await told(world) == [None, {"Amount": "a", "Name": 1}, {"Amount": "b", "Name": 2}]


async def test_a_field_that_was_removed_keeps_its_name_until_another_has_it(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="a", amount=HUGE))
    await world.apply(committer, deletion())
    held = {"id": "rec1", "Name": "a", "Amount": HUGE, "Done": False}
    assert await told(world) == [None, held]
    await follow(world, f_amount=None)
    assert await told(world) == [None, held]
    await follow(world, f_amount=None, f_name="Amount")
    del held["Name"]
    assert await told(world) == [None, held | {"Amount": "a", "f_amount": HUGE}]


async def test_prior_values_keep_all_their_digits(world: World, committer: Committer) -> None:
    await world.apply(committer, image(amount=HUGE, blob={"n": 0.1}))
    await world.apply(committer, image(amount=2**70, blob={"n": 1}))
    await world.apply(committer, image(amount=7))
    _, first, second = await told(world)
    assert first == {"Amount": HUGE, "Blob": {"n": 0.1}}
    assert second == {"Amount": str(2**70), "Blob": {"n": 1}}
