"""What `httpproxy sync watch` sees at one moment, and whether there is more to wait for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from httpproxy.cli.desk import Desk
from httpproxy.cli.failures import NOT_FOUND, Failure
from httpproxy.cli.sync.watch.speed import Speeds
from httpproxy.store.registry import Sync
from httpproxy.sync.health import Health


@dataclass(frozen=True, slots=True)
class View:
    """A sync at one moment; `speeds` are rows per second by the collection's id."""

    sync: Sync
    collections: tuple[Health, ...]
    speeds: Mapping[str, float]


class Lookout:
    """Looks at one sync, or at all of them, time and again."""

    def __init__(self, desk: Desk, name: str | None) -> None:
        self._desk = desk
        self._name = name
        self._speeds = Speeds()

    async def look(self, now: float) -> list[View]:
        """The syncs as they are. `now`: seconds of any clock. Raises Failure, Unavailable."""
        if self._name is not None:
            syncs = [await self._desk.sync(self._name)]
        else:
            syncs = await self._desk.registry.syncs()
        if not syncs:
            raise Failure("there is no sync to watch; `httpproxy sync create`", NOT_FOUND)
        return [await self._view(sync, now) for sync in syncs]

    async def _view(self, sync: Sync, now: float) -> View:
        there = await self._desk.health(sync)
        speeds = {
            each.id: speed
            for each in there
            if each.under_way
            and (speed := self._speeds.note((sync.id, each.id), each.records, now)) is not None
        }
        return View(sync, tuple(there), speeds)


def settled(views: Sequence[View]) -> bool:
    """Whether every collection is live. Raises Failure if that waits for the user."""
    open_ = [(v.sync, each) for v in views for each in v.collections if not each.settled]
    if open_ and all(each.stuck for _, each in open_):
        sync, health = open_[0]
        what = health.error or "it is paused"
        how = health.remedy or f"`httpproxy sync resume {sync.name}`"
        raise Failure(f"{sync.name}/{health.table} will not be live: {what}. {how}")
    return not open_
