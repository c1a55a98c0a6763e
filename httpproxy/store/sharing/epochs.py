"""The histories of the database: what is to be done when its end is lost.

A standby that lagged behind and was promoted, or a backup that was put back, lacks
transactions that were answered for. Whoever notices first begins a new epoch (the
function httpproxy.follow_history: every commit asks it, and every beat of a process).
From then on nothing that was read before is committed; and here every collection is
marked to be listed anew, value by value, so that what was lost is found.

Where feeds go on needs no correction: their states went back with the rows they told of.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from httpproxy.store.database import Database
from httpproxy.store.queries import load

log = logging.getLogger(__name__)

SQL: Final = load("sharing/epochs.sql")
BY_HAND: Final = "the operator said so"


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch, the first is 1, and why it began. `pending`: the new listings are still to be
    asked for."""

    value: int
    reason: str
    pending: bool


class Epochs:
    """Follows the histories. Raises Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def current(self) -> Epoch:
        """The epoch; a new one, if the database is of another history than it was."""
        async with self._database.connection() as connection:
            await connection.execute(SQL["follow"])
            row = await (await connection.execute(SQL["read"])).fetchone()
        if row is None:
            raise LookupError("httpproxy.epoch is empty: restore its one row")
        return Epoch(row["value"], row["reason"], row["pending"])

    async def follow(self) -> bool:
        """Has every collection listed anew, if a new epoch has begun and nobody has done
        so; whether that was needed. Cheap if not."""
        if not (await self.current()).pending:
            return False
        async with self._database.transaction() as connection:
            epoch = await (await connection.execute(SQL["hold_pending"])).fetchone()
            if epoch is None:
                return False
            why = {"reason": f"epoch {epoch['value']}: {epoch['reason']}"}
            await connection.execute(SQL["want_all"])
            await connection.execute(SQL["drop_all_runs"])
            await connection.execute(SQL["mark_all"], why)
            await connection.execute(SQL["record_followed"], epoch)
        log.error(
            "the end of the database's history may be lost: %s. Epoch %d begins: all"
            " collections are listed anew, and calls under way are read again",
            epoch["reason"], epoch["value"],
        )  # fmt: skip
        return True

    async def begin(self) -> int:
        """A new epoch by the operator's word; its number."""
        async with self._database.connection() as connection:
            await connection.execute(SQL["begin"], {"reason": BY_HAND})
        await self.follow()
        return (await self.current()).value
