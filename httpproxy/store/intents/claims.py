"""Keys that stand for more than one call: a mutation's, before the first of its calls.

Each call of a mutation claims a key of its own (`book`). That they belong together, and to
which request, is kept here: in the same table, so that a key is forgotten like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from httpproxy.store.database import Database
from httpproxy.store.queries import load

_SQL: Final = load("intents/claims.sql")


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a key stands for: the fingerprint tells others from it, `body` is its claimer's."""

    fingerprint: bytes
    body: bytes


class Claims:
    """Claims keys. Raises Unavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(
        self, sync_id: str, key: str, fingerprint: bytes, body: bytes = b""
    ) -> Claimed | None:
        """None if the key is claimed by this call; else what it was claimed with before."""
        named = {"sync_id": sync_id, "key": key, "fingerprint": fingerprint, "body": body}
        while True:
            async with self._database.connection() as connection:
                done = await connection.execute(_SQL["claim"], named)
            if done.rowcount:
                return None
            found = await self.claimed(sync_id, key)
            if found is not None:  # else it was forgotten a moment ago
                return found

    async def claimed(self, sync_id: str, key: str) -> Claimed | None:
        """What the key was claimed with, None if nobody has."""
        named = {"sync_id": sync_id, "key": key}
        async with self._database.connection() as connection:
            row = await (await connection.execute(_SQL["claimed"], named)).fetchone()
        if row is None:
            return None
        return Claimed(bytes(row["fingerprint"]), bytes(row["body"] or b""))
