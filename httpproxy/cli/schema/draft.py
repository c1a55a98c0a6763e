"""What is different upstream, and what would be done about it: what diff shows, apply does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from httpproxy.cli.desk import Desk
from httpproxy.exchange.discovery import Discovered, Known, discover
from httpproxy.store.layouts.drift import Difference, Stage
from httpproxy.store.registry import Sync
from providers.catalog import PROVIDERS
from providers.record import Collection


@dataclass(frozen=True, slots=True)
class Draft:
    """A sync's tables beside what the API says now. Nothing is changed yet."""

    sync: Sync
    discovered: Discovered
    differences: Sequence[Difference]

    def at(self, stage: Stage) -> list[Difference]:
        return [each for each in self.differences if each.stage is stage]

    @property
    def open(self) -> bool:
        """Whether the tables are not what they could be."""
        return bool(self.at(Stage.AUTOMATIC) or self.at(Stage.WAITING))


async def drafted(desk: Desk, sync: Sync, additions: Sequence[str] = ()) -> Draft:
    """Asks the API what it has now. `additions`: names of collections to be taken in.

    Raises Refused, Unrecognised, UnknownCollection (of an addition), StoreError.
    """
    provider, following = PROVIDERS[sync.provider], desk.registry.following
    token = await desk.office.calls.token_of(sync)

    async def ask(wanted: tuple[str, ...]) -> tuple[Collection, ...]:
        return await desk.office.calls.discover(provider, sync.account, token, wanted)

    layouts = await following.layouts(sync.id)
    known = [Known(each.table.collection, each.removed) for each in layouts]
    now = await discover(
        ask, known, takes_new=sync.covers_all, tells_new=True, adding=additions
    )
    return Draft(sync, now, await following.compare(sync.id, now.found, gone=now.gone))
