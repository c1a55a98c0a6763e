"""The peer for writes: a client that calls the API and then upserts by itself.

What a careful user writes without the gateway: one aiohttp session, a psycopg pool,
one autocommitted upsert per answer, on uvloop and with orjson. No ordering guard,
no events; the same record into a table of the same shape.

    python -m tests.benchmarks.by_hand '{"upstream", "dsn", "table", "columns"}'

An order is {"seconds", "concurrency"}; the answer {"requests", "failures", "seconds"}.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any, Final, LiteralString

import orjson
from aiohttp import ClientSession, TCPConnector  # noqa: TID251  a peer, not the product
from psycopg import AsyncConnection, sql
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from tests.benchmarks import record
from tests.benchmarks.child import orders, run, say

_POOL: Final = 16  # measured: more connections are slower on this kind of statement
_UPSERT: Final[LiteralString] = (
    "INSERT INTO {table} ({columns}) VALUES ({values}) ON CONFLICT (id) DO UPDATE SET {updates}"
)


def upsert(table: Sequence[str], columns: Sequence[str]) -> sql.Composed:
    """The statement; `table` is (schema, name), the first column the key."""
    names = [sql.Identifier(name) for name in columns]
    return sql.SQL(_UPSERT).format(
        table=sql.Identifier(*table),
        columns=sql.SQL(", ").join(names),
        values=sql.SQL(", ").join(sql.Placeholder() for _ in names),
        updates=sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(name) for name in names[1:]
        ),
    )


async def write_for(seconds: float, concurrency: int, write: Any) -> dict[str, Any]:
    """Calls `write` from `concurrency` tasks until the time is up."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    counts = {"requests": 0, "failures": 0}

    async def worker() -> None:
        while loop.time() < start + seconds:
            counts["requests" if await write() else "failures"] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(worker())
    return {**counts, "seconds": loop.time() - start}


async def twin(
    dsn: str, schema: str, table: str, its_schema: str = "by_hand"
) -> dict[str, Any]:
    """Makes an empty table of the same shape for a client that writes by hand.

    Returns the part of its argument that names table and columns.
    """
    own, theirs = sql.Identifier(its_schema, table), sql.Identifier(schema, table)
    names = {"twin": own, "of": theirs, "schema": sql.Identifier(its_schema)}
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute(
            sql.SQL("CREATE SCHEMA IF NOT EXISTS {schema}").format(**names)
        )
        await connection.execute(
            sql.SQL("CREATE TABLE {twin} (LIKE {of} INCLUDING ALL)").format(**names)
        )
    columns = [(name.lower(), name) for name in record.FIELDS]
    return {"table": (its_schema, table), "columns": columns}


async def serve(upstream: int, dsn: str, table: list[str], columns: list[list[str]]) -> None:
    """Takes orders until the parent is gone. `columns` are (column, field name) pairs."""
    fields = [field for _, field in columns]
    statement = upsert(table, ["id", "created_time", *(column for column, _ in columns)])
    url = f"http://127.0.0.1:{upstream}/v0/{record.BASE}/{record.TABLE}"
    headers = {"Authorization": f"Bearer {record.TOKEN}", "Content-Type": "application/json"}
    pool = AsyncConnectionPool(
        dsn, min_size=_POOL, max_size=_POOL, open=False, kwargs={"autocommit": True}
    )
    async with pool, ClientSession(connector=TCPConnector(limit=512)) as session:

        async def write() -> bool:
            async with session.post(url, data=record.CREATE, headers=headers) as answer:
                body = await answer.read()
            made = orjson.loads(body)
            cells = (made["fields"].get(field) for field in fields)
            values = (Jsonb(cell) if isinstance(cell, dict) else cell for cell in cells)
            async with pool.connection() as connection:
                await connection.execute(
                    statement, (made["id"], made["createdTime"], *values), prepare=True
                )
            return answer.ok

        async for order in orders():
            say(await write_for(order["seconds"], order["concurrency"], write))


if __name__ == "__main__":
    run(serve(**json.loads(sys.argv[1])))
