"""The one Postgres of a run: what is done to it, what the audit noted, what readers see.

It stands on a small disk of its own where one may be mounted, so that the disk can be
full. Readers and the audit come in by their own connections, past every wire.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

from httpproxy.store.embedded.server import EmbeddedPostgres
from tests.faults.history import Place, Stroke, Tables, Values

# Nothing but the machine itself may lose what was committed: fsync is against that alone.
_SETTINGS: Final = {
    "fsync": "off",
    "max_connections": "150",
    "max_wal_size": "96MB",
    "min_wal_size": "64MB",
    "shared_buffers": "64MB",
}
_DISK_MEGABYTES: Final = 640
_NOBODY_ELSE: Final = "application_name = 'httpproxy' AND pid <> pg_backend_pid()"
_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "airtable": ("name", "note", "key", "version"),
    "hubspot": ("email", "firstname", "lastname", "version", "archived"),
}
_AUDIT: Final = """
CREATE SCHEMA audit;
CREATE TABLE audit.stroke (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider text NOT NULL, id text NOT NULL, at timestamptz NOT NULL, shown jsonb
);
CREATE FUNCTION audit.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit.stroke (provider, id, at, shown)
    VALUES (TG_ARGV[0], CASE TG_OP WHEN 'DELETE' THEN OLD.id ELSE NEW.id END,
        clock_timestamp(), CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END);
    RETURN NULL;
END $$;
"""


@contextmanager
def small_disk() -> Iterator[tuple[Path, bool]]:
    """A folder, and whether it is a disk of its own, which only root may make."""
    folder = Path(tempfile.mkdtemp(prefix="httpproxy-faults-"))
    folder.chmod(0o755)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MEGABYTES}m,mode=755", "faults"]
    mounted = shutil.which("mount") is not None and (
        subprocess.run([*mount, folder], capture_output=True, check=False).returncode == 0
    )
    try:
        yield folder, mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", folder], check=False)
        shutil.rmtree(folder, ignore_errors=True)


class Postgres:
    """The server. `with Postgres(folder) as postgres: postgres.dsn`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = EmbeddedPostgres(folder, settings=_SETTINGS)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def dsn(self) -> str:
        return self._server.dsn

    @property
    def own(self) -> str:
        """The same for our own connections, whatever is ordered for those of others."""
        return f"{self.dsn}?options=-c%20statement_timeout%3D0"

    @property
    def port(self) -> int:
        return int(self.dsn.rpartition(":")[2].partition("/")[0])

    @property
    def log(self) -> Path:
        return self._folder / "postgres" / "log"

    def through(self, port: int) -> str:
        """The DSN by way of another port."""
        return self.dsn.replace(f":{self.port}/", f":{port}/")

    def restart(self) -> None:
        """As `pg_ctl restart -m immediate` does; also where the server has ended itself."""
        where = self.port
        pid = self._server.pid
        if pid is not None:
            os.kill(pid, signal.SIGQUIT)
        self._server.stop()
        self._server.start()
        assert self.port == where, "the server had to move"

    def is_up(self) -> bool:
        try:
            psycopg.connect(self.dsn, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    @contextmanager
    def full(self) -> Iterator[None]:
        """Meanwhile there is no space left on the disk."""
        filler = self._folder / "filler"
        try:
            with filler.open("wb", buffering=0) as file:
                size = 1 << 20
                while size:
                    try:
                        file.write(bytes(size))
                    except OSError:
                        size //= 2
            yield
        finally:
            filler.unlink(missing_ok=True)

    async def run(self, statement: str) -> None:
        async with await AsyncConnection.connect(self.own, autocommit=True) as connection:
            await connection.execute(statement.encode())

    async def terminate(self) -> None:
        """Ends all of the product's connections."""
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
        await self.run(kill + _NOBODY_ELSE)

    async def hold(self, statement: str, seconds: float) -> bool:
        """Runs a statement, and keeps its locks for a while; False if it got none."""
        try:
            async with await AsyncConnection.connect(self.own) as connection:
                await connection.execute("SET lock_timeout = '5s'")
                await connection.execute(statement.encode())
                await asyncio.sleep(seconds)
                await connection.rollback()
        except psycopg.Error:
            return False
        return True


@dataclass(frozen=True)
class Book:
    """The tables of the run: provider -> schema and table. Reads what is in them."""

    postgres: Postgres
    tables: Mapping[str, tuple[str, str]]

    async def audit(self) -> None:
        """Has every change of a row noted from now on."""
        await self.postgres.run(_AUDIT)
        for provider, (schema, table) in self.tables.items():
            name = Identifier(schema, table)
            made = SQL(
                "CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON {}"
                " FOR EACH ROW EXECUTE FUNCTION audit.note({})"
            ).format(name, provider)
            await self.postgres.run(made.as_string(None))

    async def strokes(self) -> list[Stroke]:
        """What the audit noted. The number of a row's stroke is drawn under its lock."""
        elapsed = time.time_ns() / 1e9 - time.monotonic()
        query = (
            "SELECT provider, id, extract(epoch FROM at)::float8 AS at, shown"
            " FROM audit.stroke ORDER BY number"
        )
        rows = await self.ask(query)
        return [
            Stroke(
                (row["provider"], row["id"]),
                row["at"] - elapsed,
                None if row["shown"] is None else shown(row["provider"], row["shown"]),
            )
            for row in rows
        ]

    async def at_rest(self, when: str) -> Tables:
        """All rows, and what is still to be done."""
        at = time.monotonic()
        found: dict[Place, Values] = {}
        for provider, (schema, table) in self.tables.items():
            query = SQL("SELECT * FROM {}").format(Identifier(schema, table))
            for row in await self.ask(query.as_string(None)):
                found[provider, row["id"]] = shown(provider, row)
        marks = await self.marks()
        return Tables(when, at, found, marks, await self.intents(), len(marks))

    async def marks(self) -> frozenset[Place]:
        """Records that are to be read again; a collection's mark stands for ''."""
        query = (
            "SELECT s.provider, d.record_id FROM httpproxy.dirty d"
            " JOIN httpproxy.collection c ON c.id = d.collection"
            " JOIN httpproxy.sync s ON s.id = c.sync_id"
        )
        rows = await self.ask(query)
        return frozenset((row["provider"], row["record_id"]) for row in rows)

    async def intents(self) -> int:
        """How many writes are not accounted for."""
        there = await self.ask("SELECT to_regclass('httpproxy.intent') IS NOT NULL AS yes")
        if not there[0]["yes"]:
            return 0
        return int((await self.ask("SELECT count(*) AS n FROM httpproxy.intent"))[0]["n"])

    async def ask(self, query: str) -> list[dict[str, Any]]:
        """The rows that a query gives."""
        connection = await AsyncConnection.connect(self.postgres.own, row_factory=dict_row)
        async with connection:
            return await (await connection.execute(query.encode())).fetchall()


def shown(provider: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a row that the run knows of."""
    found = {column: row[column] for column in _COLUMNS[provider]}
    if found["version"] is not None:
        found["version"] = int(found["version"])
    return found


class Reader:
    """Looks at rows as the tables' user does, for as long as it takes to be let in."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._connection: AsyncConnection[dict[str, Any]] | None = None

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def look(self, places: Sequence[Place]) -> dict[Place, Values | None]:
        """The rows of these records, all of one provider; None where there is no row."""
        while True:
            try:
                return await self._look(places)
            except psycopg.Error:
                await self.close()
                self._connection = None
                await asyncio.sleep(0.2)

    async def _look(self, places: Sequence[Place]) -> dict[Place, Values | None]:
        if self._connection is None:
            self._connection = await AsyncConnection.connect(
                self._book.postgres.own, autocommit=True, row_factory=dict_row
            )
        found: dict[Place, Values | None] = dict.fromkeys(places)
        for provider, ids in _by_provider(places).items():
            schema, table = self._book.tables[provider]
            query = SQL("SELECT * FROM {} WHERE id = ANY(%s)").format(Identifier(schema, table))
            for row in await (await self._connection.execute(query, [ids])).fetchall():
                found[provider, row["id"]] = shown(provider, row)
        return found


def _by_provider(places: Iterable[Place]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for provider, record in places:
        found.setdefault(provider, []).append(record)
    return found
