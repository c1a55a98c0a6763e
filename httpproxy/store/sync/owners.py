"""Which process runs the jobs of a sync, and the fence that its writes are made under.

    claim ──> read_owned … ──> give_up │ retire         the process is there
                  └── its row is gone: any other claims what it had

There is no lease of a sync: it is its owner's for as long as the owner's process row is
there (store/sharing/processes.py), so ten thousand syncs cost no renewals. Whoever takes a sync
over gets another fence. A process that does not know yet that it has lost a sync (frozen,
cut off) writes under the old one, and the database refuses (`Fenced`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from httpproxy.store.database import Database
from httpproxy.store.queries import load

SQL: Final = load("sync/owners.sql")


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim found: how many active syncs are this process's share (None: it takes no
    part), and those that it has taken, each with its fence."""

    due: int | None
    taken: Mapping[str, int]


class Owners:
    """Hands syncs to processes. Raises Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, process: int, held: int) -> Claimed:
        """Takes what is missing to the process's share, as far as it is free. One
        statement, which only counts while nothing is missing.

        `held` is how many active syncs the process has. A process that is gone, or that
        does not sync, takes no part.
        """
        rows = await self._rows("claim", process=process, held=held)
        if not rows:
            return Claimed(None, {})
        taken = {row["sync_id"]: row["fence"] for row in rows if row["sync_id"] is not None}
        return Claimed(rows[0]["due"], taken)

    async def owned(self, process: int) -> Mapping[str, int]:
        """What the process has, with the fences; rows of deleted syncs are cleared away."""
        await self._execute("tidy")
        rows = await self._rows("read_owned", process=process)
        return {row["sync_id"]: row["fence"] for row in rows}

    async def give_up(self, process: int, sync_ids: Sequence[str]) -> None:
        """These syncs are anybody's from now on."""
        await self._execute("give_up", process=process, sync_ids=list(sync_ids))

    async def retire(self, process: int) -> None:
        """The process gives up all of its syncs and takes no more, though it serves on."""
        await self._execute("retire", process=process)

    async def _execute(self, statement: str, **parameters: Any) -> None:
        async with self._database.connection() as connection:
            await connection.execute(SQL[statement], parameters)

    async def _rows(self, statement: str, **parameters: Any) -> list[dict[str, Any]]:
        async with self._database.connection() as connection:
            return await (await connection.execute(SQL[statement], parameters)).fetchall()
