"""The rate limits' slots in the database: who holds how many.

One call says for all lanes of a process what it keeps and what it asks for, and brings
back what it and the others have. All of it is decided under the lanes' row locks, in
one transaction, so it needs no session and works through a pooler. Calls of a process
are numbered: one that was given up and comes late changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from httpproxy.store.database import Database
from httpproxy.store.errors import Fenced
from httpproxy.store.queries import load
from httpproxy.store.sharing.terms import Found, Offer, Share

SQL: Final = load("sharing/permits.sql")


class Permits:
    """Shares out the slots of lanes. Raises Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def exchange(
        self, process: int, serial: int, offers: Sequence[Offer]
    ) -> dict[str, Found]:
        """The lanes of the offers as they are then, by name.

        `serial` grows with every call of a process; an older one finds nothing. Raises
        Fenced if the process has been declared gone.
        """
        said = {
            "process": process,
            "serial": serial,
            "offers": Jsonb([asdict(offer) for offer in offers]),
        }
        async with self._database.connection() as connection:
            try:
                rows = await (await connection.execute(SQL["deal"], said)).fetchall()
            except psycopg.errors.ForeignKeyViolation as error:
                raise Fenced(f"process {process} has been declared gone") from error
        return {row["lane"]: _found(row) for row in rows}


def _found(row: dict[str, Any]) -> Found:
    shares = tuple(Share(process, slots, tuple(w)) for process, slots, w in row["shares"])
    return Found(**{**row, "shares": shares})
