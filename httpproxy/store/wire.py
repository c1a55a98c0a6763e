"""A connection that runs several statements in one go, at the least cost for each.

Every write of every application passes here twice in the time of its call, so the steps of
a transaction are few: libpq's own interface (`psycopg.pq`) in its pipeline mode, statements
that are prepared when they first come, parameters that are encoded already. All that `run`
is given leaves at once, with the sync point behind it; what Postgres sends is taken in by
the event loop's reader.

psycopg makes the connection and names its errors. What it does beside, per statement,
(adapting, waiting, rows) would cost a transaction of a few rows more than the database does.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from itertools import count
from typing import Any, Final, LiteralString, NamedTuple

import psycopg
from psycopg import AsyncConnection, pq
from psycopg.errors import error_from_result

from httpproxy.store.database import connect_parameters, settle

PREPARED: Final = 500  # statements kept prepared on one connection
LOOK_SECONDS: Final = 0.5  # until an answer is looked for unasked
_NETWORK_PATIENCE_MS: Final = 10_000
_BINARY: Final = tuple([1] * number for number in range(9))  # by the number of parameters
_FORGET: Final = b"DEALLOCATE ALL"
_ROLLBACK: Final = b"ROLLBACK"

Rows = list[tuple[bytes | None, ...]]  # values as Postgres writes them as text


class Statement(NamedTuple):
    """A statement with parameters as Postgres reads them: as text, or all `binary`."""

    text: bytes
    parameters: Sequence[bytes | None] = ()
    binary: bool = False


class Wire:
    """A connection in pipeline mode. Made by `open_wire`; one transaction at a time.

    `settings` is the statement that goes before every transaction if the connection is
    pooled, and None if it is our own: where others use it too, nothing is prepared either.

    The event loop watches a descriptor of our own. libpq closes its own as soon as the
    connection is lost, and the number may be another transport's before we hear of it.
    uvloop tells of a connection that was reset once only, and then is the database's last
    word read, and not yet that it was the last: so who waits also looks by the clock.
    """

    def __init__(self, connection: AsyncConnection[Any], settings: bytes | None) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._loop = asyncio.get_running_loop()
        self._socket = os.dup(connection.fileno())
        self._waiting: asyncio.Future[list[pq.abc.PGresult]] | None = None
        self._results: list[pq.abc.PGresult] = []
        self._writing = self._lost = False
        self._settings = settings
        self._prepared: dict[bytes, bytes] = {}  # text -> name, the one used last at the end
        self._names = count()
        self._pgconn.enter_pipeline_mode()
        self._loop.add_reader(self._socket, self._readable)
        self._next_look = self._loop.call_later(LOOK_SECONDS, self._look)

    @property
    def pooled(self) -> bool:
        """Whether others use the connection too, transaction by transaction."""
        return self._settings is not None

    async def close(self) -> None:
        """Lets go of the connection, whatever state it is in."""
        self._next_look.cancel()
        self._loop.remove_reader(self._socket)
        if self._writing:
            self._loop.remove_writer(self._socket)
        os.close(self._socket)
        await self._connection.close()

    async def run(self, statements: Sequence[Statement]) -> list[Rows]:
        """Runs statements, as one transaction unless they say otherwise; the rows of each,
        once it is durable.

        Raises psycopg.Error: nothing was done then, unless the connection was lost. Who is
        cancelled on the way closes the wire: it is in a state that nobody knows.
        """
        wanted: list[int] = []  # which of the results are the statements' own
        sent = 0
        if self._settings is not None:
            self._pgconn.send_query_params(self._settings, None)
            sent = 1
        for statement in statements:
            sent += self._send(statement)
            wanted.append(sent - 1)
        try:
            results = await self._sync()
        except psycopg.Error:
            await self._recover()
            raise
        return [_rows(results[n]) for n in wanted]

    def give_up(self) -> None:
        """Takes the connection for lost: no answer came for too long."""
        self._fail(psycopg.OperationalError("the database does not answer"))

    def _send(self, statement: Statement) -> int:
        """Hands a statement to libpq; how many results come of it, its own the last."""
        text, parameters, binary = statement
        connection, formats = self._pgconn, _BINARY[len(parameters)] if binary else None
        if self._settings is not None:
            connection.send_query_params(text, parameters, None, formats)
            return 1
        name, before = self._prepared.pop(text, None), 0
        if name is None:
            name, before = b"s%d" % next(self._names), 1
            if len(self._prepared) >= PREPARED:
                oldest = self._prepared.pop(next(iter(self._prepared)))
                connection.send_query_params(b"DEALLOCATE " + oldest, None)
                before = 2
            connection.send_prepare(name, text)
        self._prepared[text] = name
        connection.send_query_prepared(name, parameters, formats)
        return before + 1

    async def _recover(self) -> None:
        """After an error: ends what is open, and begins anew with what is prepared, which
        may be of a table that has changed. Quietly: the error is what is told."""
        connection = self._pgconn
        if self._lost or connection.status != pq.ConnStatus.OK:
            return
        try:
            if connection.transaction_status != pq.TransactionStatus.IDLE:
                connection.send_query_params(_ROLLBACK, None)
            if self._prepared:
                self._prepared.clear()
                connection.send_query_params(_FORGET, None)
            await self._sync()
        except psycopg.Error as error:
            self._fail(error)

    async def _sync(self) -> list[pq.abc.PGresult]:
        if self._lost:
            raise psycopg.OperationalError("the connection was lost")
        self._results = []
        self._pgconn.pipeline_sync()
        waiting: asyncio.Future[list[pq.abc.PGresult]] = self._loop.create_future()
        self._waiting = waiting
        try:
            self._flush()
            return await waiting
        except (OSError, RuntimeError) as error:
            raise psycopg.OperationalError(f"the connection broke: {error}") from error
        finally:
            self._waiting = None

    def _flush(self) -> None:
        """Sends what has not been sent; a large transaction takes the socket several times."""
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

    def _look(self) -> None:
        self._next_look = self._loop.call_later(LOOK_SECONDS, self._look)
        if self._waiting is not None:
            self._readable()

    def _readable(self) -> None:
        """Takes in what has come; at the sync point the transaction is settled."""
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
        self._lost = True
        self._loop.remove_reader(self._socket)  # it would be readable for ever
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)


def _rows(result: pq.abc.PGresult) -> Rows:
    columns = range(result.nfields)
    value = result.get_value
    return [tuple([value(row, column) for column in columns]) for row in range(result.ntuples)]


async def open_wire(dsn: str, session: LiteralString, transaction: LiteralString) -> Wire:
    """Connects. The settings that we need are a statement for the whole `session`, or where
    that is not ours alone for each `transaction`. Raises psycopg.Error."""
    connection = await AsyncConnection.connect(
        dsn,
        autocommit=True,
        tcp_user_timeout=_NETWORK_PATIENCE_MS,
        **connect_parameters(prepare=False),
    )
    try:
        pooled = await settle(connection, session)
        return Wire(connection, transaction.encode() if pooled else None)
    except BaseException as error:
        await connection.close()
        if isinstance(error, OSError):  # no descriptor is left
            raise psycopg.OperationalError(str(error)) from error
        raise
