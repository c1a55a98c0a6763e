"""The intents that stand, and the keys: looked up, taken over, settled.

On a connection of its own, made when it is first needed: what is asked here is asked now
and then, and must not keep waiting what is written for every call (`book`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final, Self

import psycopg
from psycopg import AsyncConnection, AsyncRawCursor
from psycopg.rows import DictRow, dict_row

from httpproxy.store.database import connect_parameters, settle
from httpproxy.store.errors import Unavailable
from httpproxy.store.intents.columns import called_of, response_of, text
from httpproxy.store.intents.values import Doubt, Kept, OpenIntent, Outcome
from httpproxy.store.queries import load

SQL: Final = load("intents/intents.sql")
CLAIM_SECONDS: Final = 30.0  # for a look; then it may be another's
LEAK_SECONDS: Final = 3600.0  # no call takes that long
_LEAK_CHECK: Final = 60.0
_PRUNED_AT_ONCE: Final = 5000


class Ledger:
    """Reads and settles intents. Open it with `async with`; it connects when it must.

    Everything here raises Unavailable if the database is away or refuses.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._turn = asyncio.Lock()
        self._idle: AsyncConnection[DictRow] | None = None
        self._leaks_checked = float("-inf")

    def __repr__(self) -> str:
        return "Ledger()"  # a DSN holds a password

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._idle is not None:
            await self._idle.close()

    async def due(self, process: int, limit: int) -> list[Doubt]:
        """Takes intents to be looked at, at most `limit`, for `process`: its own uncertain
        ones that are due, and those of processes that are gone. Nobody else is given them
        for CLAIM_SECONDS."""
        now = asyncio.get_running_loop().time()
        async with self._connection() as connection:
            if now - self._leaks_checked > _LEAK_CHECK:
                await connection.execute(SQL["leaked"], [process, LEAK_SECONDS])
                self._leaks_checked = now
            cursor = await connection.execute(SQL["due"], [process, limit, CLAIM_SECONDS])
            return [_doubt(row) for row in await cursor.fetchall()]

    async def looked(
        self,
        intent_id: int,
        why: str,
        again_in: float | None,
        *,
        outcome: Outcome | None = None,
        records: Sequence[str] = (),
    ) -> None:
        """A look has settled an intent (`again_in` None), or is to be followed by another
        in so many seconds. "applied" and "unclear" are told to who repeats its key, with
        the ids of records; without them the key is free."""
        async with self._connection() as connection, connection.transaction():
            if again_in is not None:
                said = text(why).decode()
                await connection.execute(SQL["look_again"], [intent_id, said, again_in])
            else:
                await connection.execute(SQL["end"], [[intent_id]])
            if outcome in ("applied", "unclear"):
                await connection.execute(SQL["conclude"], [intent_id, outcome, list(records)])
            elif again_in is None:
                await connection.execute(SQL["free"], [[intent_id]])

    async def kept(self, sync_id: str, key: str) -> Kept | None:
        """What is known of a key, None if nobody has claimed it."""
        rows = await self._rows("kept", [sync_id, text(key).decode()])
        if not rows:
            return None
        row = rows[0]
        answered = row["state"] == "answered"
        response = response_of(row["head"], row["body"]) if answered else None
        print_ = bytes(row["fingerprint"])
        return Kept(print_, row["state"], response, tuple(row["records"]), row["age"])

    async def open(
        self,
        limit: int = 100,
        sync_id: str | None = None,
        after: tuple[str, int] | None = None,
    ) -> list[OpenIntent]:
        """The intents that stand, oldest first, of one sync or of all; `after` is when one
        began (ISO 8601), and its id: those that follow it."""
        began_at, id_ = after or (None, None)
        rows = await self._rows("open", [sync_id, limit, began_at, id_])
        return [_listed(row) for row in rows]

    async def count(self) -> Mapping[str, float]:
        """`open`: how many stand; `uncertain`: how many of them are; `oldest_seconds`."""
        return (await self._rows("count", []))[0]

    async def prune(self, older_than_seconds: float) -> int:
        """Forgets keys that were claimed before; returns how many."""
        pruned = 0
        while True:
            async with self._connection() as connection:
                parameters = [older_than_seconds, _PRUNED_AT_ONCE]
                cursor = await connection.execute(SQL["prune"], parameters)
            pruned += cursor.rowcount
            if cursor.rowcount < _PRUNED_AT_ONCE:
                return pruned

    async def _rows(self, query: str, parameters: Sequence[Any]) -> list[DictRow]:
        async with self._connection() as connection:
            return await (await connection.execute(SQL[query], parameters)).fetchall()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection[DictRow]]:
        async with self._turn:
            connection, self._idle = self._idle, None
            try:
                if connection is None or connection.closed:
                    connection = await self._connect()
                yield connection
            except BaseException as error:
                # Cancelled or refused on the way: nobody knows in which state it is.
                if connection is not None:
                    await connection.close()
                if isinstance(error, psycopg.Error):
                    raise Unavailable(f"the database is away, or refuses: {error}") from error
                raise
            self._idle = connection

    async def _connect(self) -> AsyncConnection[DictRow]:
        connection = await AsyncConnection[DictRow].connect(
            self._dsn,
            autocommit=True,
            row_factory=dict_row,
            cursor_factory=AsyncRawCursor,
            **connect_parameters(prepare=True),
        )
        try:
            await settle(connection, SQL["settle_session"])
        except BaseException:
            await connection.close()
            raise
        return connection


def _doubt(row: DictRow) -> Doubt:
    called = called_of(row["call"], bytes(row["body"]))
    return Doubt(
        id=row["id"],
        sync_id=row["sync_id"],
        request=called.request,
        start=called.start,
        request_id=called.request_id,
        began_at=row["began_at"],
        looks=row["looks"],
        why=row["why"],
        keyed=row["keyed"],
        origin=called.origin,
    )


def _listed(row: DictRow) -> OpenIntent:
    called = called_of(row["call"], b"")
    return OpenIntent(
        id=row["id"],
        process=row["process"],
        sync_id=row["sync_id"],
        sync_name=row["sync_name"],
        method=called.request.method,
        path=called.request.path,
        state=row["state"],
        began_at=row["began_at"],
        age=row["age"],
        looks=row["looks"],
        due_in=row["due_in"],
        why=row["why"],
        request_id=called.request_id,
    )
