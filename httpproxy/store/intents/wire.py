"""A connection that writes groups of intents, at the least cost for each.

Every write of every application passes here twice in the time of its call, so the steps of
a group are few: libpq's own interface (`psycopg.pq`) in its pipeline mode, prepared
statements, parameters that are encoded already. All statements of a group leave in one go
and are one transaction, which ends with the sync point behind them; what Postgres sends is
taken in by the event loop's reader.

psycopg makes the connection and names its errors. What it does beside, per statement,
(adapting, waiting, rows) would cost a group of a few intents more than the database does.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, pq
from psycopg.errors import error_from_result

from httpproxy.store.database import connect_parameters, settle
from httpproxy.store.intents.groups import Step
from httpproxy.store.queries import load

SQL: Final = load("intents/intents.sql")

# What is written in groups. Parameters are binary arrays.
_WRITTEN: Final = (
    "ping", "end", "free", "doubt", "answer", "claim", "begin", "withdraw", "won",
)  # fmt: skip
_NAMES: Final = {name: f"intents_{name}".encode() for name in _WRITTEN}
_TEXTS: Final = {name: text.encode() for name, text in SQL.items()}
_FORMATS: Final = tuple([1] * count for count in range(9))  # by the number of parameters
_NETWORK_PATIENCE_MS: Final = 10_000


class Wire:
    """A connection in pipeline mode. Made by `open_wire`; one group at a time.

    The event loop watches a descriptor of our own. libpq closes its own as soon as the
    connection is lost, and the number may be another transport's before we hear of it.
    """

    def __init__(self, connection: AsyncConnection[Any], *, pooled: bool) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._loop = asyncio.get_running_loop()
        self._socket = os.dup(connection.fileno())
        self._waiting: asyncio.Future[list[pq.abc.PGresult]] | None = None
        self._results: list[pq.abc.PGresult] = []
        self._writing = False
        self._pooled = pooled
        self._pgconn.enter_pipeline_mode()
        self._loop.add_reader(self._socket, self._readable)

    async def close(self) -> None:
        """Lets go of the connection, whatever state it is in."""
        self._loop.remove_reader(self._socket)
        if self._writing:
            self._loop.remove_writer(self._socket)
        os.close(self._socket)
        await self._connection.close()

    async def prepare(self) -> None:
        """Prepares what `run` may be asked for. Raises psycopg.Error."""
        if self._pooled:
            return
        for name in _WRITTEN:
            self._pgconn.send_prepare(_NAMES[name], _TEXTS[name])
        await self._sync()

    async def run(self, steps: Sequence[Step]) -> list[pq.abc.PGresult]:
        """Runs statements as one transaction; their results, once it is durable.

        Raises psycopg.Error: nothing was done then, unless the connection was lost.
        """
        connection = self._pgconn
        if self._pooled:
            connection.send_query_params(_TEXTS["settle_transaction"], None)
        for name, parameters in steps:
            binary = _FORMATS[len(parameters)]
            if self._pooled:
                connection.send_query_params(_TEXTS[name], parameters, None, binary)
            else:
                connection.send_query_prepared(_NAMES[name], parameters, binary)
        results = await self._sync()
        return results[1:] if self._pooled else results

    def give_up(self) -> None:
        """Takes the connection for lost: no answer came for too long."""
        self._fail(psycopg.OperationalError("the database does not answer"))

    async def _sync(self) -> list[pq.abc.PGresult]:
        self._results = []
        self._pgconn.pipeline_sync()
        self._waiting = self._loop.create_future()
        try:
            self._flush()
            return await self._waiting
        except (OSError, RuntimeError) as error:
            raise psycopg.OperationalError(f"the connection broke: {error}") from error
        finally:
            self._waiting = None

    def _flush(self) -> None:
        """Sends what has not been sent; a large group takes the socket several times."""
        try:
            left = self._pgconn.flush()
        except psycopg.Error as error:
            return self._fail(error)
        if left and not self._writing:
            self._loop.add_writer(self._socket, self._flush)
        elif not left and self._writing:
            self._loop.remove_writer(self._socket)
        self._writing = bool(left)
        return None

    def _readable(self) -> None:
        """Takes in what has come; at the sync point the group is settled."""
        connection = self._pgconn
        try:
            connection.consume_input()
            while self._waiting is not None and not connection.is_busy():
                result = connection.get_result()
                if result is None:
                    continue  # between the results of two statements
                if result.status == pq.ExecStatus.PIPELINE_SYNC:
                    return self._settle()
                self._results.append(result)
        except psycopg.Error as error:
            self._fail(error)
        return None

    def _settle(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is None or waiting.done():
            return
        for result in self._results:
            if result.status == pq.ExecStatus.FATAL_ERROR:
                waiting.set_exception(error_from_result(result))
                return
        waiting.set_result(self._results)

    def _fail(self, error: psycopg.Error) -> None:
        # The socket would be readable for ever.
        self._loop.remove_reader(self._socket)
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)


async def open_wire(dsn: str) -> Wire:
    """Connects and prepares. Raises psycopg.Error."""
    connection = await AsyncConnection.connect(
        dsn,
        autocommit=True,
        tcp_user_timeout=_NETWORK_PATIENCE_MS,
        **connect_parameters(prepare=False),
    )
    try:
        pooled = await settle(connection, SQL["settle_session"])
        wire = Wire(connection, pooled=pooled)
    except BaseException as error:
        await connection.close()
        if isinstance(error, OSError):  # no descriptor is left
            raise psycopg.OperationalError(str(error)) from error
        raise
    try:
        await wire.prepare()
    except BaseException:
        await wire.close()
        raise
    return wire
