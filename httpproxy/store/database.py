"""Connections to the one Postgres, and its migrations.

`Database` opens with the newest schema or not at all. The files of `migrations/` are
applied in the order of their numbers, each once, under a lock that is the
transaction's own (it holds under pgbouncer too), so that any number of processes may
start at once. A database that is newer than this program is refused: it has columns
whose meaning we do not know.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from types import TracebackType
from typing import Any, Final, LiteralString, Self

from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from httpproxy.store.errors import NotMigratable, StoreError, renamed
from httpproxy.store.queries import load

QUERIES: Final = load("queries.sql")
OLDEST_POSTGRES: Final = 14

Connection = AsyncConnection[DictRow]


def connect_parameters(*, prepare: bool) -> dict[str, Any]:
    """How every connection of ours is made; `prepare` pays for those that live on."""
    return {
        "application_name": "httpproxy",
        "connect_timeout": 10,
        "keepalives_idle": 15,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "prepare_threshold": 2 if prepare else None,
    }


async def settle(connection: AsyncConnection[Any], session: LiteralString) -> bool:
    """Makes a new connection ready, and tells whether it is pooled.

    Behind a pooler in transaction mode (pgbouncer) every transaction may run on another
    server connection, which others use before and after. So nothing is prepared there, and
    `session`, a statement of settings, is not run: they would be lost, and found by others.
    A pooler gives itself away: it has its own word for the process that it speaks for.
    Raises psycopg.Error.
    """
    row = await (await connection.execute(QUERIES["own_process"])).fetchone()
    found = row if row is None or isinstance(row, tuple) else tuple(row.values())
    if found == (connection.info.backend_pid,):
        await connection.execute(session)
        return False
    connection.prepare_threshold = None
    return True


class Database:
    """A pool for ordinary queries. Opened with `async with`, which also migrates.

    Raises Unavailable, NotMigratable.
    """

    def __init__(self, dsn: str, *, connections: int = 4) -> None:
        self._dsn = dsn
        self._where: tuple[str, int, str] | None = None
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            dsn,
            connection_class=AsyncConnection[DictRow],
            kwargs={
                **connect_parameters(prepare=True),
                "autocommit": True,
                "row_factory": dict_row,
            },
            min_size=1,
            max_size=connections,
            timeout=5.0,
            # The pool doubles its pauses, and after a long outage would be the last to know
            # that it is over. Whoever asks once it has given up makes it try at once.
            reconnect_timeout=1.0,
            open=False,
            name="httpproxy",
            configure=_settle,
            check=AsyncConnectionPool.check_connection,
        )

    def __repr__(self) -> str:
        return "Database()"  # a DSN holds a password

    async def __aenter__(self) -> Self:
        with renamed():
            await migrate(self._dsn)
            await self._pool.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._pool.close()

    async def where(self) -> tuple[str, int, str]:
        """The host (or the folder of the socket), the port and the name of the database, as
        this process has reached it."""
        if self._where is None:
            async with self.connection() as connection:
                info = connection.info
                self._where = info.host, info.port, info.dbname
        return self._where

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection in autocommit mode."""
        with renamed():
            async with self._pool.connection() as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside a transaction that commits when the block ends well."""
        async with self.connection() as connection, connection.transaction():
            yield connection


async def _settle(connection: Connection) -> None:
    await settle(connection, QUERIES["settle_session"])


async def next_revision(connection: Connection) -> int:
    """The number of a change to the registry. Changes go one after another from here on,
    until the transaction ends."""
    row = await (await connection.execute(QUERIES["next_revision"])).fetchone()
    if row is None:
        raise StoreError("httpproxy.revision is empty: restore its one row")
    return int(row["value"])


async def migrate(dsn: str) -> int:
    """Brings the database to this program's schema; returns how many files it took.

    Raises NotMigratable, and psycopg's errors.
    """
    parameters = connect_parameters(prepare=False)
    async with await AsyncConnection.connect(
        dsn, row_factory=dict_row, autocommit=True, **parameters
    ) as connection:
        _require_postgres(connection.info.server_version // 10000)
        async with connection.transaction():
            await connection.execute(QUERIES["lock_migrations"])
            return await _migrate(connection)


def _require_postgres(major: int) -> None:
    if major < OLDEST_POSTGRES:
        raise NotMigratable(
            f"this is Postgres {major}; httpproxy needs {OLDEST_POSTGRES} or newer"
        )


async def _migrate(connection: Connection) -> int:
    row = await (await connection.execute(QUERIES["find_migrations"])).fetchone()
    if row is None or row["found"] is None:
        await _execute_file(connection, QUERIES["create_schema"])
    done = await (await connection.execute(QUERIES["read_migrations"])).fetchall()
    applied = {row["version"]: row["name"] for row in done}
    known = migrations()
    newer = sorted(set(applied) - set(known))
    if newer:
        raise NotMigratable(
            f"the database has migration {newer[-1]} ({applied[newer[-1]]}), which this"
            " version of httpproxy does not know; run the version that made it, or newer"
        )
    missing = [version for version in sorted(known) if version not in applied]
    for version in missing:
        name, text = known[version]
        await _execute_file(connection, text)
        await connection.execute(
            QUERIES["record_migration"], {"version": version, "name": name}
        )
    return len(missing)


async def _execute_file(connection: Connection, text: str) -> None:
    # Without parameters psycopg sends a text of several statements as it is.
    await connection.execute(text.encode(), prepare=False)


def migrations() -> dict[int, tuple[str, str]]:
    """This program's migrations: number -> (name, SQL)."""
    found: dict[int, tuple[str, str]] = {}
    for file in files(__package__).joinpath("migrations").iterdir():
        number, _, rest = file.name.partition("_")
        if rest.endswith(".sql"):
            name = rest.removesuffix(".sql")
            found[int(number)] = (name, file.read_text(encoding="utf-8"))
    return found
