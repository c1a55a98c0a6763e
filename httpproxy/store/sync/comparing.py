"""Is a row what the API says it is? Rows by chance, and their verdicts.

A row is compared by the expression that a commit is judged by: what differs is exactly
what the commit of the image would change.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import psycopg
from psycopg import AsyncRawCursor
from psycopg.rows import DictRow
from psycopg.sql import SQL, Composable, Identifier, Literal
from psycopg.types.json import set_json_loads

from httpproxy.store.commits import misfits
from httpproxy.store.commits.troubles import DatabaseTrouble, trouble_of
from httpproxy.store.database import Connection, Database
from httpproxy.store.errors import Stale
from httpproxy.store.layouts.statements import TYPES, compose, parts_of
from httpproxy.store.layouts.tables import Row, Table, row_of
from httpproxy.store.sync.marks import jsonb
from providers.plain import number
from providers.record import JSON, Image, ImageKind

KEYS_AT_ONCE: Final = 1000


class Verdict(StrEnum):
    """What a comparison says of a row.

    SAME     the row says what the API says, or both say that there is none
    DIFFERS  the row says something else, or is there and should not be
    ABSENT   the API has the record, and the table lacks the row
    MOVED    the row was written while the record was read: that tells nothing
    """

    SAME = "same"
    DIFFERS = "differs"
    ABSENT = "absent"
    MOVED = "moved"


class Comparing:
    """Compares rows with images. Raises Unavailable when the database is away, and Stale
    if a table's layout is not the one that it is asked with."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sample(self, table: Table, n: int) -> list[tuple[str, ...]]:
        """The keys of up to `n` rows, taken by chance.

        Reads a few pages, however large the table is. Pages are chosen and then rows, so
        that rows of one page are somewhat more likely to meet in a sample.
        """
        named = {**parts_of(table), "table_name": Literal(_quoted(table))}
        async with self._database.connection() as connection:
            rows = await ask(connection, compose("sample", named).as_bytes(None), n)
            if not rows:  # a large table of empty pages, in which few rows are left
                rows = await ask(connection, _next_keys(table, following=False), n)
        return _keys(table, rows)

    async def all_keys(self, table: Table) -> AsyncIterator[list[tuple[str, ...]]]:
        """The keys of all rows in their order, a thousand at a time.

        Rows that come or go meanwhile may be among them or not.
        """
        keys: list[tuple[str, ...]] = []
        while True:
            parameters = [jsonb(list(keys[-1]))] if keys else []
            statement = _next_keys(table, following=bool(keys))
            async with self._database.connection() as connection:
                rows = await ask(connection, statement, KEYS_AT_ONCE, *parameters)
            keys = _keys(table, rows)
            if keys:
                yield keys
            if len(keys) < KEYS_AT_ONCE:
                return

    async def compare(
        self, table: Table, images: Sequence[Image], start: int
    ) -> Mapping[str, Verdict]:
        """The verdicts on the images' rows, by record id.

        `start` is the committer's clock from before the images were read. Images that
        name no key are left out.
        """
        named = {i.record_id: i for i in images if i.key and i.match is None}
        async with self._database.connection() as connection:
            try:
                return await _compare(connection, table, named.values(), start)
            except psycopg.DataError:
                fitting = [await _fitting(connection, table, i) for i in named.values()]
                return await _compare(connection, table, fitting, start, sorted_out=True)


async def _compare(
    connection: Connection,
    table: Table,
    images: Iterable[Image],
    start: int,
    *,
    sorted_out: bool = False,
) -> Mapping[str, Verdict]:
    rows = [_described(table, image, sorted_out) for image in images]
    archived = table.archived_column
    named: dict[str, Composable] = {
        **parts_of(table),
        "archived": SQL("t.{}").format(Identifier(archived)) if archived else SQL("false"),
    }
    statement = compose("compare", named).as_bytes(None)
    found = await ask(connection, statement, jsonb(list(rows)), start)
    return {row["record_id"]: Verdict(row["verdict"]) for row in found}


def _described(table: Table, image: Image, sorted_out: bool) -> Row:
    row = row_of(table, table.selected(image), sorted_out=sorted_out)
    row["r"] = image.record_id
    row["g"] = image.kind is ImageKind.ARCHIVE
    return row


async def _fitting(connection: Connection, table: Table, image: Image) -> Image:
    async def takes(table: Table, values: dict[str, Any]) -> bool:
        statement = compose("try_values", parts_of(table)).as_bytes(None)
        try:
            await ask(connection, statement, jsonb(values))
        except psycopg.DataError:
            return False
        return True

    return (await misfits.set_aside(takes, table, image))[0]


def _next_keys(table: Table, *, following: bool) -> bytes:
    """The statement for the next keys; `following` the one in `$2`."""
    after = SQL(", ").join(
        SQL("($2::jsonb->>{})::{}").format(Literal(n), TYPES[column.field.column_type])
        for n, column in enumerate(table.key)
    )
    named = parts_of(table)
    follows = SQL("({}) > ({})").format(named["key"], after) if following else SQL("true")
    return compose("next_keys", {**named, "follows": follows}).as_bytes(None)


def exactly(text: str | bytes) -> JSON:
    """JSON, with a text for a number that no float holds."""
    value: JSON = json.loads(text, parse_float=number)
    return value


def _quoted(table: Table) -> str:
    return Identifier(table.schema_name, table.name).as_string(None)


def _keys(table: Table, rows: Iterable[DictRow]) -> list[tuple[str, ...]]:
    names = [column.name for column in table.key]
    return [tuple(str(row[name]) for name in names) for row in rows]


async def ask(connection: Connection, statement: bytes, *parameters: Any) -> list[DictRow]:
    """Rows of a statement with numbered parameters, numbers in JSON with all their digits.

    Raises Stale for another layout.
    """
    cursor = AsyncRawCursor(connection)
    set_json_loads(exactly, cursor)
    try:
        await cursor.execute(statement, parameters)
        return await cursor.fetchall() if cursor.description else []
    except psycopg.Error as error:
        if trouble_of(error) is DatabaseTrouble.LAYOUT:
            raise Stale("the table has another layout now") from error
        raise
