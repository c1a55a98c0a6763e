"""Replicas of the database, and the wait until one has what was committed.

A receipt's token is a place in the write-ahead log (an LSN) that lies at or behind the
commit. A replica that has replayed it shows the rows. All who wait for one replica share
one connection and one poll; without anybody waiting nothing is asked.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from httpproxy.store.database import Database, connect_parameters
from httpproxy.store.queries import load

log = logging.getLogger(__name__)

_SQL: Final = load("replicas.sql")
_TOKEN: Final = re.compile(r"([0-9A-F]{1,8})/([0-9A-F]{1,8})", re.ASCII | re.IGNORECASE)
POLL: Final = 0.01  # seconds between two looks, while somebody waits
RETRY: Final = 0.5  # … while the replica cannot be reached
PATIENCE: Final = 5.0  # for one answer of the replica
IDLE: Final = 30.0  # for how long a connection is kept that nobody needs


def position(token: str) -> int:
    """A token as a number: later ones are greater. Raises ValueError."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise ValueError("a token is two hexadecimal numbers with a slash, such as 0/16B3748")
    return (int(found[1], 16) << 32) | int(found[2], 16)


async def committed(database: Database) -> int:
    """A position at or behind every commit so far. Raises Unavailable, and ValueError if the
    database does not say."""
    async with database.connection() as connection:
        row = await (await connection.execute(_SQL["committed"])).fetchone()
    return position("" if row is None else str(row["token"]))


@dataclass(frozen=True, slots=True)
class Reached:
    """Whether a replica has come as far, how far it is (None: it could not be asked), and
    why it could not."""

    reached: bool
    at: str | None
    why: str | None = None


class Replica:
    """One replica. `poll` is a task of `Replicas`."""

    def __init__(self, name: str, dsn: str) -> None:
        self.name = name
        self._dsn = dsn
        self._waiting: dict[asyncio.Future[None], int] = {}
        self._connection: AsyncConnection[TupleRow] | None = None
        self._at: str | None = None
        self._why: str | None = None
        self._wanted = asyncio.Event()

    def __repr__(self) -> str:
        return f"Replica({self.name}, at={self._at}, waiting={len(self._waiting)})"

    @property
    def waiting(self) -> int:
        """How many wait for it."""
        return len(self._waiting)

    async def reaches(self, wanted: int, seconds: float) -> Reached:
        """Waits until it has come to `wanted`, `seconds` at most. Never fails."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[future] = wanted
        self._wanted.set()
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            return Reached(False, self._at, self._why)
        finally:
            self._waiting.pop(future, None)
        return Reached(True, self._at)

    async def poll(self) -> None:
        """Asks the replica while somebody waits, until cancelled."""
        try:
            while True:
                await self._pause()
                try:
                    async with asyncio.timeout(PATIENCE):
                        await self._look()
                except (psycopg.Error, OSError, TimeoutError) as error:
                    self._at, self._why = None, _said(error)
                    log.info("replica %s cannot be asked: %s", self.name, self._why)
                    await self._hang_up()
                    await asyncio.sleep(RETRY)
                else:
                    await asyncio.sleep(POLL if self._waiting else 0)
        finally:
            await self._hang_up()

    async def _pause(self) -> None:
        """Returns when somebody waits; a connection that nobody needs for long is closed."""
        if self._waiting:
            return
        self._wanted.clear()
        try:
            async with asyncio.timeout(None if self._connection is None else IDLE):
                await self._wanted.wait()
        except TimeoutError:
            await self._hang_up()

    async def _look(self) -> None:
        if not self._waiting:
            return
        if self._connection is None:
            self._connection = await AsyncConnection.connect(
                self._dsn, autocommit=True, **connect_parameters(prepare=False)
            )
        row = await (await self._connection.execute(_SQL["position"])).fetchone()
        self._at, self._why = (row[0] if row else None), None
        if self._at is None:
            self._why = "it is in recovery and has replayed nothing"
            return
        now_at = position(self._at)
        for future, wanted in list(self._waiting.items()):
            if now_at >= wanted and not future.done():
                future.set_result(None)
                del self._waiting[future]

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _said(error: Exception) -> str:
    """The first line of what went wrong; a DSN's password is not among it."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


class Replicas:
    """The replicas by name. Open with `async with`: their polls are tasks of this."""

    def __init__(self, dsns: Mapping[str, str]) -> None:
        self._replicas = {name: Replica(name, dsn) for name, dsn in dsns.items()}
        self._tasks = asyncio.TaskGroup()
        self._polls: list[asyncio.Task[None]] = []

    def names(self) -> Iterable[str]:
        return self._replicas.keys()

    def get(self, name: str) -> Replica | None:
        return self._replicas.get(name)

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        for replica in self._replicas.values():
            task = self._tasks.create_task(replica.poll(), name=f"replica {replica.name}")
            self._polls.append(task)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in self._polls:
            task.cancel()
        await self._tasks.__aexit__(kind, error, traceback)
