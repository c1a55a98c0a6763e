"""The connection that commits: a batch as one pipelined transaction.

    BEGIN
    guard     one statement over all collections: who may pass (docs/decisions/0002);
              it ends the intents of those that do
    answer    kept for idempotency keys
    upsert    per table; likewise delete and archive: rows and events
    COMMIT
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

from httpproxy.store.commits import batch
from httpproxy.store.commits.batch import Layouts, Pending, Place, Step
from httpproxy.store.commits.encoding import encoded, encoded_with_care
from httpproxy.store.intents.columns import BYTEA, array, head_of, numbers, text
from httpproxy.store.layouts.statements import Statements, find_match
from httpproxy.store.layouts.tables import Row, Table
from httpproxy.store.queries import load
from httpproxy.store.wire import Rows, Statement, Wire, open_wire
from providers.record import Image

_TEXTS: Final = load("commits/commit.sql")
SQL: Final = {name: text.encode() for name, text in _TEXTS.items()}
_ANSWER: Final = load("intents/intents.sql")["answer"].encode()
UNREADABLE: Final = (TypeError, ValueError, RecursionError)  # of encoding a value
REFUSED: Final = "the table refused it"  # why a record is to be read again
_STATEMENTS_KEPT: Final = 2000
_BEGIN: Final = Statement(SQL["begin"])
_COMMIT: Final = Statement(SQL["end"])
_TOKEN: Final = Statement(SQL["token"])


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What became of a batch: the clock, the places of its overlaps, where the log is."""

    tick: int
    overlaps: frozenset[Place]
    token: str = ""


class Writer:
    """One connection and the statements that go over it. Made by `open_writer`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._statements: dict[int, tuple[int, Statements]] = {}
        self._seen = 0  # the clock

    @property
    def pooled(self) -> bool:
        """Whether the connection is shared with others, transaction by transaction."""
        return self._wire.pooled

    async def close(self) -> None:
        await self._wire.close()

    async def forward_clock(self, seen: int) -> int:
        """A new value of the clock, beyond what has been seen."""
        rows = await self.alone(Statement(SQL["forward_clock"], [_number(seen)]))
        self._seen = int(rows[0][0] or 0)
        return self._seen

    async def ping(self) -> None:
        """Raises psycopg.Error if the database is away."""
        await self.alone(Statement(SQL["ping"]))

    async def mark(self, marks: list[Row]) -> None:
        """Remembers what is to be read again (`batch.mark`)."""
        if marks:
            await self.alone(marked(marks))

    async def mark_for_later(self, place: Place, key: Sequence[str], seconds: float) -> None:
        """Remembers a record that the table refused; it is read again after `seconds`."""
        number, record = place
        keys = encoded_with_care(list(key))
        parameters = (_number(number), text(record), keys, text(REFUSED), b"%f" % seconds)
        await self.alone(Statement(SQL["mark_for_later"], parameters))

    async def quarantine(
        self, place: Place, image: Row, why: tuple[str | None, str], request_id: str
    ) -> None:
        """Keeps an image that a table refuses; `why` is a SQLSTATE and a message."""
        number, record = place
        state, message = why
        told = (None if state is None else text(state), text(message), text(request_id))
        parameters = (_number(number), text(record), encoded_with_care(image), *told)
        await self.alone(Statement(SQL["quarantine"], parameters))

    async def transact(self, items: Sequence[Pending], layouts: Layouts) -> BatchOutcome:
        """Commits a batch. Raises psycopg.Error, or what encoding a value raises."""
        careful = any(item.careful for item in items)
        guard = _jsonb(batch.guard_rows(items), careful)
        written = [self._prepared(step, careful) for step in batch.steps(items, layouts)]
        marks = batch.marks(items, layouts)
        if marks:
            written.append(marked(marks))
        written += _answers(items)
        parameters = (guard, _ids(batch.ending(items)), _number(self._seen))
        guarded = Statement(SQL["guard"], parameters)
        answers = await self.pipeline([guarded, *written], [_TOKEN])
        rows, token = answers[0], _text(answers[-1][0][0])
        tick = self._seen = int(rows[0][0] or 0)
        refused = {(int(n), _text(record)) for _, n, record in rows if n is not None}
        if not refused:
            return BatchOutcome(tick, frozenset(), token)
        overlaps = frozenset(await self._judge(items, refused, tick, layouts))
        await self.end([item for item in items if _was_judged(item, refused, overlaps)])
        return BatchOutcome(tick, overlaps, token)

    async def end(self, items: Sequence[Pending]) -> None:
        """Ends the intents of commits, and keeps their answers."""
        ids = [item.commit.intent for item in items if item.commit.intent is not None]
        if ids:
            ended = Statement(SQL["end_intents"], [_ids(ids)])
            await self.pipeline([ended, *_answers(items)])

    async def _judge(
        self, items: Iterable[Pending], refused: set[Place], tick: int, layouts: Layouts
    ) -> set[Place]:
        """The places of the refused images that nothing can order."""
        found = batch.judgements(items, refused, layouts)
        places = [{"c": number, "r": record} for number, record in sorted(refused)]
        try:
            judged = [self._prepared(step, careful=True) for step in found]
            asked = [Statement(s.text, (*s.parameters, _number(tick))) for s in judged]
            lock = Statement(SQL["lock_meta"], [_jsonb(places, careful=True)])
            answers = await self.pipeline([lock, *asked])
            open_ = set(refused)
            for step, answer in zip(found, answers[1:], strict=True):
                for record, verdict in answer:
                    if verdict != b"overlap":
                        open_.discard((step.table.number, _text(record)))
        except psycopg.DataError:
            return refused  # a value that cannot be compared: read it again
        return open_

    async def alone(self, statement: Statement) -> Rows:
        """Runs one statement as a transaction."""
        return (await self._wire.run([statement]))[0]

    async def pipeline(
        self, statements: Sequence[Statement], after: Sequence[Statement] = ()
    ) -> list[Rows]:
        """Runs statements in one transaction, and some after it, all in one round trip."""
        answers = await self._wire.run([_BEGIN, *statements, _COMMIT, *after])
        end = len(statements) + 1
        return answers[1:end] + answers[end + 1 :]

    def _prepared(self, step: Step, careful: bool) -> Statement:
        statement = getattr(self.statements(step.table), step.statement)
        return Statement(statement, [_jsonb(step.rows, careful)])

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
            rows: Rows = []
            if field_id in table.names:
                rows = await self.alone(Statement(find_match(table, field_id), [text(value)]))
            if len(rows) == 1:
                key = tuple(_text(part) for part in rows[0])
                found.append(replace(image, key=key, match=None))
            else:
                lost.append(image)
        item.images = tuple(found)
        item.place_again()
        return lost

    async def takes(self, table: Table, values: dict[str, Any]) -> bool:
        """Whether the table's columns take these values."""
        try:
            tried = self.statements(table).try_values
            await self.alone(Statement(tried, [_jsonb(values, careful=True)]))
        except psycopg.DataError:
            return False
        return True

    async def takes_version(self, updated_at: str) -> bool:
        """Whether Postgres reads this as a moment."""
        try:
            await self.alone(Statement(SQL["try_version"], [text(updated_at)]))
        except psycopg.DataError:
            return False
        return True


def _was_judged(item: Pending, refused: set[Place], overlaps: frozenset[Place]) -> bool:
    """Whether images of the item were refused, and all of them put in order."""
    return not item.places.isdisjoint(refused) and item.places.isdisjoint(overlaps)


def marked(marks: list[Row]) -> Statement:
    """Remembers what is to be read again (`batch.mark`)."""
    return Statement(SQL["mark"], [_jsonb(marks, careful=True)])


def _answers(items: Iterable[Pending]) -> list[Statement]:
    told = batch.answers(items)
    if not told:
        return []
    intents = numbers([intent for intent, _ in told])
    heads = array(BYTEA, [head_of(answer) for _, answer in told])
    bodies = array(BYTEA, [answer.body for _, answer in told])
    return [Statement(_ANSWER, (intents, heads, bodies), binary=True)]


def _ids(ids: Iterable[int]) -> bytes:
    return b"{%b}" % b",".join(map(_number, ids))


def _number(value: int) -> bytes:
    return b"%d" % value


def _text(value: bytes | None) -> str:
    return (value or b"").decode()


def _jsonb(rows: Any, careful: bool) -> bytes:
    return encoded_with_care(rows) if careful else encoded(rows)


async def open_writer(dsn: str) -> Writer:
    """Connects. Raises psycopg.Error."""
    settings = _TEXTS["settle_session"], _TEXTS["settle_transaction"]
    return Writer(await open_wire(dsn, *settings))
