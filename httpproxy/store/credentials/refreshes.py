"""Access tokens are refreshed by one process at a time, for all of them.

Who refreshes holds a lease, a few columns of the credential's row: no transaction is open
while the API is asked. A refresh token that can be used once may belong to several
credentials (one grant at Airtable opens several bases): such a family is leased, and gets
its new tokens, together.

Times are by the database's clock: no machine's own one matters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from httpproxy.store.credentials.values import TokenPair
from httpproxy.store.database import Connection, Database
from httpproxy.store.queries import load
from httpproxy.store.secrets.vault import Vault, credential_place
from providers.credentials import Grant

_SQL: Final = load("credentials/refreshes.sql")


@dataclass(frozen=True, slots=True)
class StoredTokens:
    """A credential's tokens, as they are kept.

    remaining    seconds until the access token expires; None: never, or unknown
    due          seconds until it is to be refreshed; None: never
    trouble      why it cannot be refreshed; `spent`: nor will it be, with this token
    generation   counts the secrets that the credential has had
    interrupted  somebody's refresh was sent, and whoever sent it did not live to tell what
                 came of it; told to who leases it next
    """

    credential_id: str
    provider: str
    account: str
    kind: str
    app_id: str | None
    tokens: TokenPair
    remaining: float | None
    due: float | None
    trouble: str | None
    spent: bool
    generation: int
    interrupted: bool = False

    @property
    def access_token(self) -> str:
        return self.tokens.access_token

    @property
    def refresh_token(self) -> str | None:
        return self.tokens.refresh_token


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to refresh a credential as it was in this generation."""

    credential_id: str
    generation: int
    holder: str


@dataclass(frozen=True, slots=True)
class _Family:
    """The rows that have the refresh token, and that of the credential itself."""

    ids: list[str] = field(default_factory=list)
    own: Mapping[str, Any] | None = None
    held: bool = False
    sent: bool = False

    def is_of(self, lease: Lease) -> bool:
        own = self.own
        return (
            own is not None
            and own["generation"] == lease.generation
            and own["refresh_holder"] == lease.holder
        )


class Refreshes:
    """The tokens of a database's credentials. Raises Unavailable when it is away."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def tokens_of(self, credential_id: str) -> StoredTokens:
        """What there is. Raises LookupError, KeyMismatch."""
        async with self._database.connection() as connection:
            return await self._read(connection, credential_id)

    async def lease(self, lease: Lease, seconds: float) -> StoredTokens | None:
        """Leases a credential's refresh, and its family's. None if somebody else has it, or
        the secret is another one by now. Raises LookupError, KeyMismatch."""
        async with self._database.transaction() as connection:
            family = await _hold(connection, lease.credential_id)
            if family.own is None or family.held:
                return None
            if family.own["generation"] != lease.generation:
                return None
            await connection.execute(
                _SQL["lease_refresh"],
                {"ids": family.ids, "holder": lease.holder, "seconds": seconds},
            )
            return await self._read(connection, lease.credential_id, family.sent)

    async def sent(self, lease: Lease) -> bool:
        """The refresh token is about to be sent; False if the lease is lost: do not send."""
        return await self._end(lease, "sent_refresh", {})

    async def store(self, lease: Lease, grant: Grant, refresh_in: float | None) -> bool:
        """Keeps what the API gave; `refresh_in` is when to refresh next, in seconds, None:
        never. False if there is another secret by now: nothing was kept.

        A lease that is lost meanwhile does not matter: where refresh tokens are used once,
        what came, however late, is all that there is.
        """
        async with self._database.transaction() as connection:
            family = await _hold(connection, lease.credential_id)
            if family.own is None or family.own["generation"] != lease.generation:
                return False
            known = await self._read(connection, lease.credential_id)
            kept = TokenPair(grant.access_token, grant.refresh_token or known.refresh_token)
            for id_ in family.ids:
                row = {
                    "id": id_,
                    "secret": self._vault.seal(kept.written(), *credential_place(id_)),
                    "mark": kept.mark,
                    "expires_in": grant.expires_in,
                    "refresh_in": refresh_in,
                }
                await connection.execute(_SQL["store_refresh"], row)
            return True

    async def fail(
        self, lease: Lease, trouble: str, *, spent: bool, retry_in: float | None
    ) -> bool:
        """Ends a lease with what is wrong; `retry_in` seconds it is due again, None: never."""
        row = {"trouble": trouble, "spent": spent, "retry_in": retry_in}
        return await self._end(lease, "fail_refresh", row)

    async def due(self, limit: int) -> list[str]:
        """Ids of credentials that are to be refreshed now, those that waited longest first."""
        async with self._database.connection() as connection:
            asked = await connection.execute(_SQL["read_due"], {"limit": limit})
            return [row["id"] for row in await asked.fetchall()]

    async def _end(self, lease: Lease, query: str, row: Mapping[str, Any]) -> bool:
        async with self._database.transaction() as connection:
            family = await _hold(connection, lease.credential_id)
            if not family.is_of(lease):
                return False
            await connection.execute(_SQL[query], {**row, "ids": family.ids})
            return True

    async def _read(
        self, connection: Connection, credential_id: str, interrupted: bool = False
    ) -> StoredTokens:
        asked = await connection.execute(_SQL["read_tokens"], {"id": credential_id})
        row = await asked.fetchone()
        if row is None:
            raise LookupError(f"there is no credential {credential_id}")
        sealed = self._vault.open(bytes(row["secret"]), *credential_place(credential_id))
        return StoredTokens(
            credential_id,
            row["provider"],
            row["account"],
            row["kind"],
            row["app_id"],
            TokenPair.read(sealed),
            row["remaining"],
            row["due"],
            row["trouble"],
            row["spent"],
            row["generation"],
            interrupted,
        )


async def _hold(connection: Connection, credential_id: str) -> _Family:
    asked = await connection.execute(_SQL["hold_family"], {"id": credential_id})
    rows: Sequence[Mapping[str, Any]] = await asked.fetchall()
    own = next((row for row in rows if row["id"] == credential_id), None)
    return _Family(
        [row["id"] for row in rows],
        own,
        held=any(row["held"] for row in rows),
        sent=any(row["sent"] for row in rows),
    )
