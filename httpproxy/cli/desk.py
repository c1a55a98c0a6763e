"""What the commands about a sync work with: its registry entry and its state.

They work on the database, never on a running process: that one notices by itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from httpproxy.cli.failures import NOT_FOUND, USAGE, Failure
from httpproxy.office import Office, open_office, wall_clock
from httpproxy.settings.reading import Settings
from httpproxy.store.registry import Registry, Sync
from httpproxy.store.sync.progress import Progress
from httpproxy.sync.health import Health, health


@dataclass(frozen=True, slots=True)
class Desk:
    """The registry, and how far its syncs are."""

    office: Office

    @property
    def registry(self) -> Registry:
        return self.office.registry

    @property
    def progress(self) -> Progress:
        return self.office.progress

    async def sync(self, name: str) -> Sync:
        """The sync of this name or id. Raises Failure."""
        found = await self.registry.sync(name)
        if found is None:
            said = f"there is no sync {name!r}; `httpproxy sync list` shows them"
            raise Failure(said, NOT_FOUND)
        return found

    async def health(self, sync: Sync) -> list[Health]:
        """How the sync's collections are now, in the order of their tables."""
        return await healths(self.progress, sync)


@asynccontextmanager
async def open_desk(settings: Settings) -> AsyncIterator[Desk]:
    """Opens the database, embedded if the settings name none."""
    async with open_office(settings) as office:
        yield Desk(office)


async def healths(progress: Progress, sync: Sync) -> list[Health]:
    """How a sync's collections are now."""
    states, now = await progress.states(sync.id), wall_clock()
    return [health(state, sync.name, sync.status, now) for state in states]


def chosen(there: Sequence[Health], wanted: Sequence[str], sync: str) -> list[Health]:
    """The collections that are named, by table, name or id; all of them for no name.

    Raises Failure, with the names that there are.
    """
    return [_one(there, text, sync) for text in wanted] if wanted else list(there)


def _one(there: Sequence[Health], text: str, sync: str) -> Health:
    for spelt in (str, str.lower):
        for each in there:
            if spelt(text) in (spelt(each.table), spelt(each.id), spelt(each.name)):
                return each
    names = ", ".join(each.table for each in there) or "none"
    raise Failure(f"{sync} has no table {text!r}; there are: {names}", USAGE)
