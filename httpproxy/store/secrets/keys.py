"""API keys: made once, shown once, kept as a hash.

    hpk_<id>_<secret>     id: 16 letters and digits, may be shown · secret: 256 random bits

The database has the SHA-256 of the whole key. A slow hash would add nothing: nobody
tries 2^256 keys. `verify` is for every request: it looks into a copy of the valid keys
that is at most FRESH seconds old, so a revocation takes effect everywhere within that
time, and guessing costs the database nothing but one read for each GAP seconds.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from base64 import b32encode
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Final, Literal

import psycopg

from httpproxy.store.database import Database
from httpproxy.store.errors import Forgotten, NameTaken
from httpproxy.store.queries import load
from httpproxy.store.secrets.vault import Secret

Scope = Literal["read", "write", "admin"]
SCOPES: Final[tuple[Scope, ...]] = ("read", "write", "admin")
FRESH: Final = 2.0
GAP: Final = 0.2
USE_NOTED: Final = 60.0
_SQL: Final = load("secrets/keys.sql")
_FORM: Final = re.compile(r"hpk_([a-z2-7]{16})_[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Key:
    """What a key may do. `sync_id` None: with every sync. Its text is not known here.

    `valid`: it was neither revoked nor expired when it was read.
    """

    id: str
    name: str
    digest: bytes = field(repr=False)
    scopes: frozenset[Scope]
    sync_id: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    valid: bool

    def allows(self, scope: Scope, sync_id: str | None = None) -> bool:
        """Whether it opens this for a sync; for `sync_id` None, for what is no sync's own.

        admin includes write, write includes read. A key of one sync opens nothing else.
        """
        wide = SCOPES[SCOPES.index(scope) :]
        return not self.scopes.isdisjoint(wide) and self.sync_id in (None, sync_id)


class Keys:
    """The API keys of a database. Raises Unavailable when it is away.

    `clock` is a monotonic one, in seconds.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._valid: Mapping[str, Key] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._noted: dict[str, float] = {}

    async def create(
        self,
        name: str,
        scopes: Collection[Scope],
        *,
        sync_id: str | None = None,
        expires_in: float | None = None,
        until: datetime | None = None,
    ) -> tuple[Key, Secret]:
        """A new key and its text, which nobody can tell afterwards.

        It ends after `expires_in` seconds, at `until` at the latest. Raises NameTaken, and
        Forgotten if there is no such sync.
        """
        id_ = b32encode(secrets.token_bytes(10)).decode().lower()
        token = f"hpk_{id_}_{secrets.token_urlsafe(32)}"
        row = {
            "id": id_,
            "name": name,
            "digest": _digest(token),
            "scopes": sorted(set(scopes)),
            "sync_id": sync_id,
            "expires_in": expires_in,
            "until": until,
        }
        try:
            rows = await self._rows("insert_key", row)
        except psycopg.errors.UniqueViolation as error:
            raise NameTaken("name", name) from error
        if not rows:
            raise Forgotten(f"there is no sync {sync_id}")
        return _key(rows[0]), Secret(token)

    async def page(
        self, sync_id: str | None, after: tuple[str, str] | None, limit: int | None
    ) -> Sequence[Key]:
        """Keys, those of one sync or all, revoked and expired ones too, oldest first; after
        (moment of creation, id) in that order."""
        at, id_ = after or (None, None)
        row = {"sync_id": sync_id, "after_at": at, "after_id": id_, "limit": limit}
        return [_key(found) for found in await self._rows("read_keys", row)]

    async def get(self, id_or_name: str) -> Key | None:
        """The key of this id, or else the living one of this name."""
        rows = await self._rows("read_key", {"wanted": id_or_name})
        return _key(rows[0]) if rows else None

    async def revoke(self, id_or_name: str) -> Key | None:
        """Ends a key: here at once, in other processes within FRESH seconds. None: no such."""
        rows = await self._rows("revoke_key", {"wanted": id_or_name})
        self._read_at = float("-inf")
        return _key(rows[0]) if rows else None

    async def verify(self, token: str) -> Key | None:
        """The valid key with this text; None for anything else.

        A key of another process may be unknown here for a moment: whoever brings one that
        is unknown waits until it is sure, at most GAP seconds.
        """
        form = _FORM.fullmatch(token)
        if form is None:
            return None
        asked = self._clock()
        if asked - self._read_at > FRESH:
            await self._read(asked)
        known = self._valid.get(form[1])
        if known is None and self._read_at < asked:
            await self._read(asked)
            known = self._valid.get(form[1])
        if known is None or not compare_digest(known.digest, _digest(token)):
            return None
        await self._note_use(known.id)
        return known

    async def _read(self, asked: float) -> None:
        """Reads the valid keys, unless that has begun since `asked`."""
        async with self._reading:
            if self._read_at >= asked:
                return
            await asyncio.sleep(max(0.0, self._read_at + GAP - self._clock()))
            began = self._clock()
            rows = await self._rows("read_valid_keys", {})
            self._valid = {row["id"]: _key(row) for row in rows}
            self._noted = {id_: at for id_, at in self._noted.items() if id_ in self._valid}
            self._read_at = began

    async def _note_use(self, id_: str) -> None:
        now = self._clock()
        if now - self._noted.get(id_, float("-inf")) < USE_NOTED:
            return
        self._noted[id_] = now
        async with self._database.connection() as connection:
            await connection.execute(_SQL["note_use"], {"id": id_})

    async def _rows(
        self, query: str, parameters: Mapping[str, Any]
    ) -> Sequence[Mapping[str, Any]]:
        async with self._database.connection() as connection:
            return await (await connection.execute(_SQL[query], parameters)).fetchall()


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()


def _key(row: Mapping[str, Any]) -> Key:
    return Key(
        row["id"],
        row["name"],
        bytes(row["digest"]),
        frozenset(row["scopes"]),
        row["sync_id"],
        row["created_at"],
        row["expires_at"],
        row["revoked_at"],
        row["last_used_at"],
        row["valid"],
    )
