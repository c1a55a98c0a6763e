"""What the commands about a sync work with: its registry entry, its state, the services.

They work on the database, never on a running process: that one notices by itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from httpproxy.cli.failures import NOT_FOUND, Failure
from httpproxy.management.services import Services, make_services
from httpproxy.office import Office, open_office
from httpproxy.settings.reading import Settings
from httpproxy.store.registry import Registry, Sync
from httpproxy.store.sync.progress import Progress
from httpproxy.sync.health import Health


@dataclass(frozen=True, slots=True)
class Desk:
    """The services of `management`, and what they work with."""

    office: Office
    services: Services

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
        return await self.services.steering.health(sync)


@asynccontextmanager
async def open_desk(settings: Settings) -> AsyncIterator[Desk]:
    """Opens the database, embedded if the settings name none."""
    async with open_office(settings) as office:
        yield Desk(office, make_services(office))
