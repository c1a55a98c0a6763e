"""The processes that serve this database, by the database's own clock.

    register ──> beat … beat ──> leave            a clean end
                    │
                    └── Fenced: declared gone meanwhile (killed, frozen, cut off)

Everybody has a lease of LEASE seconds and renews it every BEAT. Whoever beats deletes
the rows that have expired. A process is gone if and only if its row is gone: what it
held (permits, syncs, intents) is then anybody's.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from httpproxy.store.database import Database
from httpproxy.store.errors import Fenced
from httpproxy.store.queries import load

log = logging.getLogger(__name__)

LEASE: Final = 10.0  # seconds without a beat until a process is declared gone
BEAT: Final = 1.0  # seconds between beats
SQL: Final = load("sharing/processes.sql")


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a process runs: a boot of a machine (None: not known), its id there, and when
    it began, by that machine's own count."""

    machine: str | None
    pid: int
    started: int


NOWHERE: Final = Whereabouts(None, 0, 0)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another process of the same machine, as its row tells."""

    number: int
    incarnation: UUID
    name: str
    at: Whereabouts


@dataclass(frozen=True)
class Beat:
    """What a beat found: how many other processes there are."""

    others: int


class Processes:
    """Registers processes and keeps their leases. Raises Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._incarnations: dict[int, UUID] = {}

    async def register(self, name: str, roles: Sequence[str], at: Whereabouts = NOWHERE) -> int:
        """A new process, there for LEASE seconds; returns its number, below 2^31.

        `name` is for people, `roles` those of the settings.
        """
        rows = await self._rows(
            "register",
            name=name,
            roles=list(roles),
            machine=at.machine,
            pid=at.pid,
            pid_started=at.started,
            lease=LEASE,
        )
        number = int(rows[0]["number"])
        self._incarnations[number] = rows[0]["incarnation"]
        return number

    async def beat(self, number: int) -> Beat:
        """Renews the lease, and declares gone whoever has let his expire.

        Raises Fenced if this process itself has been declared gone, or was not registered
        here: a database that was put back may have given its number to another.
        """
        # First, as whoever comes back to a promoted standby is given time to do so.
        await self._rows("follow_history")
        rows = await self._rows("beat", **self._named(number), lease=LEASE)
        if not rows[0]["mine"]:
            self._incarnations.pop(number, None)
            raise Fenced(f"process {number} has been declared gone")
        for name in rows[0]["gone"] or ():
            log.warning("process %s was not heard of any more and is declared gone", name)
        return Beat(rows[0]["others"])

    async def neighbours(self, number: int, machine: str) -> list[Neighbour]:
        """The other processes of a machine."""
        rows = await self._rows("neighbours", number=number, machine=machine)
        return [
            Neighbour(
                row["number"],
                row["incarnation"],
                row["name"],
                Whereabouts(machine, row["pid"], row["pid_started"]),
            )
            for row in rows
        ]

    async def declare_gone(self, ended: Neighbour) -> None:
        """A process that certainly runs no more: what it held is free."""
        named = {"number": ended.number, "incarnation": ended.incarnation}
        async with self._database.connection() as connection:
            await connection.execute(SQL["declare_gone"], named)
        log.warning("process %s runs no more and is declared gone", ended.name)

    async def leave(self, number: int) -> None:
        """The process ends: its syncs are free at once, and its row is gone."""
        named = self._named(number)
        async with self._database.connection() as connection:
            await connection.execute(SQL["leave"], named)
        self._incarnations.pop(number, None)

    def _named(self, number: int) -> dict[str, Any]:
        return {"number": number, "incarnation": self._incarnations.get(number)}

    async def _rows(self, statement: str, **parameters: Any) -> list[dict[str, Any]]:
        async with self._database.connection() as connection:
            return await (await connection.execute(SQL[statement], parameters)).fetchall()
