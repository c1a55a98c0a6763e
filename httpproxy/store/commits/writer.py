"""The connection that commits: a batch as one pipelined transaction.

    BEGIN
    guard     one statement over all collections: who may pass (docs/decisions/0002);
              it ends the intents of those that do
    answer    kept for idempotency keys
    upsert    per table; likewise delete and archive: rows and events
    COMMIT    said, and not left to the end of the pipeline: psycopg cannot take an error
              there, such as that of a deferred constraint
    token     where the log is now

All of it leaves in one go and costs one round trip. A second one follows only for
images that the guard refused. What a batch of many tables costs is one lookup and one
write per record and table, whatever the number of exchanges.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, AsyncCursor, AsyncRawCursor
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from httpproxy.store.commits import batch
from httpproxy.store.commits.batch import Layouts, Pending, Place, Step
from httpproxy.store.commits.encoding import encoded, encoded_with_care
from httpproxy.store.database import connect_parameters, settle
from httpproxy.store.intents.columns import head_of
from httpproxy.store.layouts.statements import Statements, find_match
from httpproxy.store.layouts.tables import Row, Table
from httpproxy.store.queries import load
from providers.record import Image

_TEXTS: Final = load("commits/commit.sql")
SQL: Final = {name: text.encode() for name, text in _TEXTS.items()}
SESSION: Final = _TEXTS["settle_session"]
_ANSWER: Final = load("intents/intents.sql")["answer"].encode()
UNREADABLE: Final = (TypeError, ValueError, RecursionError)  # of encoding a value
REFUSED: Final = "the table refused it"  # why a record is to be read again
_STATEMENTS_KEPT: Final = 2000
_PREPARED: Final = 500
_NETWORK_PATIENCE_MS: Final = 10_000


Statement = tuple[bytes, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What became of a batch: the clock, the places of its overlaps, where the log is."""

    tick: int
    overlaps: frozenset[Place]
    token: str = ""


class Writer:
    """One connection and what is prepared on it. Made by `open_writer`.

    `pooled`: it is shared with others, transaction by transaction, so that each brings its
    own settings.
    """

    def __init__(self, connection: AsyncConnection[TupleRow], *, pooled: bool) -> None:
        self._connection, self._pooled = connection, pooled
        self._statements: dict[int, tuple[int, Statements]] = {}
        self._seen = 0  # the clock

    async def close(self) -> None:
        await self._connection.close()

    async def forward_clock(self, seen: int) -> int:
        """A new value of the clock, beyond what has been seen."""
        rows = await (await self._execute(SQL["forward_clock"], [seen])).fetchall()
        self._seen = rows[0][0]
        return self._seen

    async def ping(self) -> None:
        """Raises psycopg.Error if the database is away."""
        await self._connection.execute(SQL["ping"])

    async def mark(self, marks: list[Row]) -> None:
        """Remembers what is to be read again (`batch.mark`)."""
        if marks:
            await self._execute(SQL["mark"], [_jsonb(marks, careful=True)])

    async def mark_for_later(self, place: Place, key: Sequence[str], seconds: float) -> None:
        """Remembers a record that the table refused; it is read again after `seconds`."""
        parameters = (*place, list(key), REFUSED, seconds)
        await self._execute(SQL["mark_for_later"], parameters)

    async def quarantine(
        self, place: Place, image: Row, why: tuple[str | None, str], request_id: str
    ) -> None:
        """Keeps an image that a table refuses; `why` is a SQLSTATE and a message."""
        kept = _jsonb(image, careful=True)
        parameters = (*place, kept, *why, request_id)
        await self._execute(SQL["quarantine"], parameters)

    async def transact(self, items: Sequence[Pending], layouts: Layouts) -> BatchOutcome:
        """Commits a batch. Raises psycopg.Error, or what encoding a value raises."""
        careful = any(item.careful for item in items)
        guard = _jsonb(batch.guard_rows(items), careful)
        written: list[Statement] = [
            self._prepared(step, careful) for step in batch.steps(items, layouts)
        ]
        marks = batch.marks(items, layouts)
        if marks:
            written.append((SQL["mark"], (_jsonb(marks, careful=True),)))
        written += _answers(items)
        guarded = (SQL["guard"], (guard, _ids(batch.ending(items)), self._seen))
        answers = await self.pipeline([guarded, *written], [(SQL["token"], ())])
        rows, token = await answers[0].fetchall(), (await answers[-1].fetchall())[0][0]
        tick = self._seen = rows[0][0]
        refused = {(number, record) for _, number, record in rows if number is not None}
        if not refused:
            return BatchOutcome(tick, frozenset(), token)
        overlaps = frozenset(await self._judge(items, refused, tick, layouts))
        await self.end([item for item in items if _was_judged(item, refused, overlaps)])
        return BatchOutcome(tick, overlaps, token)

    async def end(self, items: Sequence[Pending]) -> None:
        """Ends the intents of commits, and keeps their answers."""
        ids = [item.commit.intent for item in items if item.commit.intent is not None]
        if ids:
            await self.pipeline([(SQL["end_intents"], (_ids(ids),)), *_answers(items)])

    async def _judge(
        self, items: Iterable[Pending], refused: set[Place], tick: int, layouts: Layouts
    ) -> set[Place]:
        """The places of the refused images that nothing can order."""
        found = batch.judgements(items, refused, layouts)
        places = [{"c": number, "r": record} for number, record in sorted(refused)]
        try:
            judged = [self._prepared(step, careful=True) for step in found]
            asked = [(statement, (*rows, tick)) for statement, rows in judged]
            lock = (SQL["lock_meta"], (_jsonb(places, careful=True),))
            answers = await self.pipeline([lock, *asked])
            open_ = set(refused)
            for step, answer in zip(found, answers[1:], strict=True):
                for record, verdict in await answer.fetchall():
                    if verdict != "overlap":
                        open_.discard((step.table.number, record))
        except psycopg.DataError:
            return refused  # a value that cannot be compared: read it again
        return open_

    async def alone(
        self, statement: bytes, parameters: Sequence[Any]
    ) -> AsyncRawCursor[TupleRow]:
        """Runs one statement as a transaction. What a pipeline takes beside the work itself
        is twice as much."""
        if self._pooled:
            return (await self.pipeline([(statement, parameters)]))[0]
        cursor = AsyncRawCursor(self._connection)
        return await cursor.execute(statement, parameters, prepare=True)

    async def _execute(
        self, statement: bytes, parameters: Sequence[Any]
    ) -> AsyncCursor[TupleRow]:
        if self._pooled:
            return (await self.pipeline([(statement, parameters)]))[0]
        return await self._connection.execute(statement, parameters)

    async def pipeline(
        self, statements: Sequence[Statement], after: Sequence[Statement] = ()
    ) -> list[AsyncRawCursor[TupleRow]]:
        """Runs statements in one transaction, and some after it, all in one round trip."""
        connection, cursors = self._connection, []
        try:
            async with connection.pipeline():
                await connection.execute(SQL["begin"])
                if self._pooled:
                    await connection.execute(SQL["settle_transaction"])
                for part in (statements, after):
                    for statement, parameters in part:
                        cursor = AsyncRawCursor(connection)
                        await cursor.execute(statement, parameters, prepare=True)
                        cursors.append(cursor)
                    if part is statements:
                        await connection.execute(SQL["end"])
        except psycopg.Error:
            if not connection.closed:
                await connection.rollback()
            raise
        return cursors

    def _prepared(self, step: Step, careful: bool) -> tuple[bytes, tuple[Jsonb]]:
        statement = getattr(self.statements(step.table), step.statement)
        return statement, (_jsonb(step.rows, careful),)

    def statements(self, table: Table) -> Statements:
        """The statements on a table, composed once per layout."""
        known = self._statements.get(table.number)
        if known is not None and known[0] == table.version:
            return known[1]
        if len(self._statements) >= _STATEMENTS_KEPT:
            self._statements.pop(next(iter(self._statements)))
        made = Statements(table)
        self._statements[table.number] = (table.version, made)
        return made

    async def look_up(self, item: Pending, layouts: Layouts) -> list[Image]:
        """Gives the item's images that name records by a value their keys.

        Returns the images that fit no record, or more than one: they are left out.
        """
        found: list[Image] = []
        lost: list[Image] = []
        for image in item.images:
            if image.match is None:
                found.append(image)
                continue
            field_id, value = image.match
            table = layouts(item.commit.tables.tables[image.collection])
            rows: list[TupleRow] = []
            if field_id in table.names:
                cursor = await self._execute(find_match(table, field_id), [value])
                rows = await cursor.fetchall()
            if len(rows) == 1:
                key = tuple(str(part) for part in rows[0])
                found.append(replace(image, key=key, match=None))
            else:
                lost.append(image)
        item.images = tuple(found)
        item.place_again()
        return lost

    async def takes(self, table: Table, values: dict[str, Any]) -> bool:
        """Whether the table's columns take these values."""
        try:
            await self._execute(
                self.statements(table).try_values, [_jsonb(values, careful=True)]
            )
        except psycopg.DataError:
            return False
        return True

    async def takes_version(self, updated_at: str) -> bool:
        """Whether Postgres reads this as a moment."""
        try:
            await self._execute(SQL["try_version"], [updated_at])
        except psycopg.DataError:
            return False
        return True


def _was_judged(item: Pending, refused: set[Place], overlaps: frozenset[Place]) -> bool:
    """Whether images of the item were refused, and all of them put in order."""
    return not item.places.isdisjoint(refused) and item.places.isdisjoint(overlaps)


def _answers(items: Iterable[Pending]) -> list[Statement]:
    told = batch.answers(items)
    if not told:
        return []
    heads, bodies = [head_of(answer) for _, answer in told], [a.body for _, a in told]
    return [(_ANSWER, ([intent for intent, _ in told], heads, bodies))]


def _ids(ids: Iterable[int]) -> str:
    """An array as Postgres reads it: of one type whatever it holds, and so prepared once."""
    return "{" + ",".join(map(str, ids)) + "}"


def _jsonb(rows: Any, careful: bool) -> Jsonb:
    return Jsonb(encoded_with_care(rows) if careful else encoded(rows), dumps=_as_is)


def _as_is(text: bytes) -> bytes:
    return text


async def open_writer(dsn: str) -> Writer:
    """Connects. Raises psycopg.Error."""
    connection = await AsyncConnection.connect(
        dsn,
        autocommit=True,
        cursor_factory=AsyncRawCursor,
        tcp_user_timeout=_NETWORK_PATIENCE_MS,
        **connect_parameters(prepare=True),
    )
    try:
        connection.prepared_max = _PREPARED
        return Writer(connection, pooled=await settle(connection, SESSION))
    except BaseException:
        await connection.close()
        raise
