"""Waiting for what the background sync does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from neighbours.airtable_house import AirtableHouse
from neighbours.hubspot_house import HubSpotHouse

from httpproxy.store.sync.states import CollectionState

PATIENCE: Final = 60.0
QUICK: Final = {
    "roles": ("gateway", "sync"),
    "sync_interval": 0.2,
    "verify_sample": 0,
}


async def until(holds: Callable[[], bool], what: str) -> None:
    """Waits until a check holds; it is asked in a thread, as it may wait for a server."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while not await asyncio.to_thread(holds):
        assert asyncio.get_running_loop().time() < deadline, f"not within {PATIENCE} s: {what}"
        await asyncio.sleep(0.05)


async def until_heard(house: AirtableHouse | HubSpotHouse, status: str) -> None:
    """Waits until the process knows that its sync is active, or paused."""

    def heard() -> bool:
        live = house.house.service.directory.of(house.sync.id)
        return live is not None and live.sync.status == status

    await until(heard, f"the sync is known to be {status}")


async def state_of(house: AirtableHouse | HubSpotHouse, collection: str) -> CollectionState:
    """How a collection fares, by its id or name."""
    states = await house.house.service.office.progress.states(house.sync.id)
    return next(s for s in states if collection in (s.collection, s.name))


async def until_state(
    house: AirtableHouse | HubSpotHouse,
    collection: str,
    holds: Callable[[CollectionState], Any],
) -> CollectionState:
    """Waits until the state of a collection is so."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while not holds(state := await state_of(house, collection)):
        assert asyncio.get_running_loop().time() < deadline, state
        await asyncio.sleep(0.05)
    return state


async def until_listed(house: AirtableHouse | HubSpotHouse, collection: str) -> CollectionState:
    """Waits for the end of the backfill."""
    return await until_state(house, collection, lambda s: s.backfilled_at)
