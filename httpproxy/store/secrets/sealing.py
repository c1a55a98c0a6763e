"""Which keys the stored secrets are sealed with, and sealing them with the one in use.

A key is changed while processes run, in this order: every process knows the new one,
every process seals with it, whatever the former one sealed is sealed anew, and only
then is the former one taken away (docs/security.md). Sealing anew is a transaction for
each secret, which compares before it sets, so nobody waits and nothing is overwritten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from httpproxy.store.database import Database
from httpproxy.store.errors import KeyMismatch
from httpproxy.store.queries import load
from httpproxy.store.secrets.vault import Vault, app_place, credential_place, unknown_key

BATCH: Final = 100
_SQL: Final = load("secrets/sealing.sql")
# Where secrets are: what they are sealed for, and how one is put in another's place.
_PLACES: Final = {
    "credential": (credential_place, _SQL["reseal_credential"]),
    "oauth_app": (app_place, _SQL["reseal_oauth_app"]),
}


@dataclass(frozen=True, slots=True)
class Resealed:
    """What `reseal` did: secrets sealed anew, and why others could not be."""

    secrets: int
    left: tuple[str, ...]


class Sealing:
    """The sealed secrets of a database. Raises Unavailable when it is away."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def census(self) -> Mapping[str, int]:
        """Key id -> how many secrets it seals."""
        return {row["key_id"]: row["secrets"] for row in await self._rows("count_by_key", {})}

    async def require_keys(self) -> None:
        """Raises KeyMismatch if there are secrets whose key is not known."""
        sealed = await self.census()
        unknown = sealed.keys() - self._vault.key_ids
        if unknown:
            number = sum(sealed[key_id] for key_id in unknown)
            said = unknown_key(unknown, self._vault.key_ids)
            raise KeyMismatch(f"{number} of {sum(sealed.values())} stored secrets: {said}")

    async def unreadable(self) -> list[tuple[str, str]]:
        """The secrets that do not open: whose they are, and why."""
        found = []
        for row in await self._rows("read_sealed", {}):
            place, _ = _PLACES[row["place"]]
            try:
                self._vault.open(bytes(row["secret"]), *place(row["id"]))
            except KeyMismatch as error:
                found.append((row["used_by"], str(error)))
        return found

    async def reseal(self) -> Resealed:
        """Seals with the key in use whatever another one seals."""
        self._vault.renew()
        done, left, after = 0, [], ""
        while rows := await self._rows(
            "read_sealed_otherwise",
            {"key_id": self._vault.key_id, "after": after, "limit": BATCH},
        ):
            for row in rows:
                try:
                    done += await self._reseal(row)
                except KeyMismatch as error:
                    left.append(str(error))
            after = rows[-1]["id"]
        return Resealed(done, tuple(left))

    async def _reseal(self, row: Mapping[str, Any]) -> int:
        place, reseal = _PLACES[row["place"]]
        where, sealed = place(row["id"]), bytes(row["secret"])
        resealed = self._vault.seal(self._vault.open(sealed, *where), *where)
        changed = {"id": row["id"], "secret": sealed, "resealed": resealed}
        async with self._database.connection() as connection:
            return (await connection.execute(reseal, changed)).rowcount

    async def _rows(self, query: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        async with self._database.connection() as connection:
            return await (await connection.execute(_SQL[query], parameters)).fetchall()
