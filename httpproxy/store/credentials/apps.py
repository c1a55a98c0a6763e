"""OAuth apps: what a provider knows us by when tokens are refreshed. Secrets are sealed.

An app is one client id at one provider; whoever saves it again replaces its secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import psycopg

from httpproxy.store.database import Connection, Database, next_revision
from httpproxy.store.errors import Forgotten, InUse, NameTaken, Stale
from httpproxy.store.ids import new_id
from httpproxy.store.queries import load
from httpproxy.store.secrets.vault import Secret, Vault, app_place
from providers.credentials import AppKeys

_SQL: Final = load("credentials/apps.sql")


@dataclass(frozen=True, slots=True)
class App:
    """An OAuth app as it is kept. `secret` is sealed; None: a public client has none."""

    id: str
    provider: str
    name: str | None
    client_id: str
    secret: bytes | None = field(repr=False)
    created_at: datetime
    updated_at: datetime


class Apps:
    """The OAuth apps of a database. Raises Unavailable when it is away."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def save(self, provider: str, keys: AppKeys, name: str | None) -> tuple[App, bool]:
        """Saves the app of a client id; it, and whether it is new. Raises NameTaken."""
        whose = {"provider": provider, "client_id": keys.client_id}
        async with self._database.transaction() as connection:
            await next_revision(connection)  # two who save at once find each other's
            known = await (await connection.execute(_SQL["app_id"], whose)).fetchone()
            id_ = str(known["id"]) if known else new_id("app")
            row = {**whose, "id": id_, "name": name, "secret": self._sealed(id_, keys)}
            try:
                await connection.execute(_SQL["save_app"], row)
            except psycopg.errors.UniqueViolation as error:
                raise NameTaken("name", str(name)) from error
            return await _read(connection, id_), known is None

    async def get(self, id_or_name: str) -> App | None:
        """The app of this id, or else of this name."""
        rows = await self._rows("read_app", {"wanted": id_or_name})
        return App(**rows[0]) if rows else None

    async def page(
        self, provider: str | None, after: tuple[str, str] | None, limit: int
    ) -> list[App]:
        """Apps, oldest first, after (moment of creation, id) in that order."""
        at, id_ = after or (None, None)
        row = {"provider": provider, "after_at": at, "after_id": id_, "limit": limit}
        return [App(**found) for found in await self._rows("read_app_page", row)]

    async def keys(self, id_: str) -> AppKeys:
        """What the provider knows it by. Raises LookupError, KeyMismatch."""
        app = await self.get(id_)
        if app is None:
            raise LookupError(f"there is no OAuth app {id_}")
        if app.secret is None:
            return AppKeys(app.client_id)
        opened = self._vault.open(bytes(app.secret), *app_place(app.id))
        return AppKeys(app.client_id, opened.reveal())

    async def change(self, changed: App, keys: AppKeys | None) -> App:
        """Keeps the name, and the client id and secret of `keys` if there are any. Raises
        Stale if the app is not as it was read, NameTaken."""
        row = {
            "id": changed.id,
            "name": changed.name,
            "client_id": keys.client_id if keys else changed.client_id,
            "secret": self._sealed(changed.id, keys) if keys else changed.secret,
            "as_of": changed.updated_at,
        }
        async with self._database.transaction() as connection:
            try:
                done = await connection.execute(_SQL["change_app"], row)
            except psycopg.errors.UniqueViolation as error:
                name = error.diag.constraint_name or ""
                field_ = "name" if name.endswith("_name_key") else "client_id"
                raise NameTaken(field_, str(row[field_])) from error
            if not done.rowcount:
                raise Stale(f"OAuth app {changed.id} has changed meanwhile")
            return await _read(connection, changed.id)

    async def users(self, id_: str, limit: int = 100) -> list[str]:
        """Ids of the credentials that are refreshed by an app."""
        rows = await self._rows("read_app_users", {"id": id_, "limit": limit})
        return [row["id"] for row in rows]

    async def delete(self, id_: str) -> bool:
        """Forgets an app; whether it was there. Raises InUse if a credential needs it."""
        async with self._database.connection() as connection:
            try:
                done = await connection.execute(_SQL["delete_app"], {"id": id_})
            except psycopg.errors.ForeignKeyViolation as error:
                raise InUse(f"a credential is refreshed by OAuth app {id_}") from error
            return done.rowcount > 0

    def _sealed(self, id_: str, keys: AppKeys) -> bytes | None:
        if keys.client_secret is None:
            return None
        return self._vault.seal(Secret(keys.client_secret), *app_place(id_))

    async def _rows(self, query: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        async with self._database.connection() as connection:
            return await (await connection.execute(_SQL[query], parameters)).fetchall()


async def _read(connection: Connection, id_: str) -> App:
    row = await (await connection.execute(_SQL["read_app"], {"wanted": id_})).fetchone()
    if row is None:
        raise Forgotten(f"there is no OAuth app {id_}")
    return App(**row)
