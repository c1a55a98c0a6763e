"""What an event's sync and collection are called: kept for those who tell of events.

A sync's tables are read once and again when its revision has moved, so that whoever tells
an event knows every field by the name that it has now.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from httpproxy.store.database import Database
from httpproxy.store.layouts import layout
from httpproxy.store.layouts.tables import SyncTables
from httpproxy.store.queries import load
from providers.record import Field

QUERIES: Final = load("streams/shapes.sql")
MOST: Final = 500  # syncs whose tables are kept: about 20 KB each


@dataclass(frozen=True, slots=True)
class Shape:
    """A sync's provider and tables, as they are at a revision. `gone`, by the provider's ids
    of collections, are the fields that were removed, by theirs."""

    provider: str
    tables: SyncTables
    revision: int
    gone: Mapping[str, Mapping[str, Field]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a caller spells a collection: as a whole, and its parts."""

    text: str
    provider: str | None
    name: str


class Shapes:
    """Reads what syncs look like. Raises Unavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: OrderedDict[str, Shape] = OrderedDict()

    async def of(self, sync_ids: Collection[str]) -> Mapping[str, Shape]:
        """The shapes of these syncs as they are now; of those that there are."""
        rows = await self._rows("read_revisions", {"ids": sorted(sync_ids)})
        found: dict[str, Shape] = {}
        for row in rows:
            known = self._kept.get(row["id"])
            if known is None or known.revision != row["revision"]:
                known = await self._read(row["id"], row["provider"], row["revision"])
            found[row["id"]] = known
            self._keep(row["id"], known)
        return found

    async def revision(self) -> int:
        """Another number whenever a sync or a collection has changed, come or gone."""
        return int((await self._rows("read_revision", {}))[0]["value"])

    async def syncs_of(self, providers: Sequence[str]) -> list[str]:
        """The ids of all syncs of some providers."""
        rows = await self._rows("read_syncs_of", {"providers": [*providers]})
        return [row["id"] for row in rows]

    async def collections(
        self, spellings: Sequence[Spelling], sync_ids: Sequence[str] | None
    ) -> Mapping[str, frozenset[str]]:
        """The provider's ids of collections that are spelled so, by spelling.

        One spelling ("Tasks") may mean another id in each sync; None: in all syncs.
        """
        wanted = {
            "spellings": [each.text for each in spellings],
            "providers": [each.provider for each in spellings],
            "names": [each.name for each in spellings],
            "sync_ids": None if sync_ids is None else [*sync_ids],
        }
        found: dict[str, set[str]] = {each.text: set() for each in spellings}
        for row in await self._rows("find_collections", wanted):
            found[row["spelling"]].add(row["upstream_id"])
        return {text: frozenset(ids) for text, ids in found.items()}

    async def _read(self, sync_id: str, provider: str, revision: int) -> Shape:
        async with self._database.transaction() as connection:
            layouts = await layout.read_layouts(connection, sync_id, all_=True)
        gone = {
            each.table.collection.id: {k.field.id: k.field for k in each.kept if k.removed}
            for each in layouts
        }
        return Shape(provider, layout.sync_tables(layouts), revision, gone)

    def _keep(self, sync_id: str, shape: Shape) -> None:
        self._kept[sync_id] = shape
        self._kept.move_to_end(sync_id)
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)

    async def _rows(self, query: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        async with self._database.connection() as connection:
            return await (await connection.execute(QUERIES[query], parameters)).fetchall()
