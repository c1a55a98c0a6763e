"""What syncs and collections are called is asked for once, however many readers there are."""

from __future__ import annotations

import asyncio

from httpproxy.streams import selecting
from httpproxy.streams.documents import Filters
from httpproxy.streams.selecting import Names, Selection


class Shapes:
    """Counts what it is asked. Each revision has one sync more."""

    def __init__(self) -> None:
        self.number = 1
        self.revisions = self.lists = 0

    async def revision(self) -> int:
        self.revisions += 1
        await asyncio.sleep(0)
        return self.number

    async def syncs_of(self, providers: list[str]) -> list[str]:
        self.lists += 1
        return [f"sync_{n}" for n in range(self.number)]


async def test_filters_are_looked_up_again_when_something_has_changed():
    shapes, now = Shapes(), 100.0
    names = Names(shapes, lambda: now)  # type: ignore[arg-type]  # what is asked of it, it has
    readers = [Selection(Filters(provider=["airtable"]), None, names) for _ in range(20)]

    async def all_of_them() -> set[tuple[str, ...]]:
        found = await asyncio.gather(*(reader.wanted() for reader in readers))
        return {tuple(each.sync_ids or ()) for each in found}

    assert await all_of_them() == {("sync_0",)}
    assert (shapes.revisions, shapes.lists) == (1, 20)
    now += selecting.FRESH_SECONDS
    assert await all_of_them() == {("sync_0",)}
    assert (shapes.revisions, shapes.lists) == (2, 20), "nothing has changed"
    shapes.number = 2
    assert await all_of_them() == {("sync_0",)}, "which is noticed a second later"
    now += selecting.FRESH_SECONDS
    assert await all_of_them() == {("sync_0", "sync_1")}
    assert (shapes.revisions, shapes.lists) == (3, 40)


async def test_filters_that_name_nothing_that_changes_ask_for_nothing():
    shapes = Shapes()
    plain = Selection(Filters(event=["created"]), ["sync_1"], Names(shapes, lambda: 0.0))  # type: ignore[arg-type]  # see above
    assert await plain.wanted() is await plain.wanted()
    assert (shapes.revisions, shapes.lists) == (0, 0)
