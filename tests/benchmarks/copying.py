"""The peers of the backfill: the same rows into a table of the same shape, by hand.

What each does is in `WAYS`; none of them guards, compares, or keeps events or meta rows.

    python -m tests.benchmarks.copying '{"dsn", "table", "columns"}'

An order is {"way", "first", "pages"}; the answer {"seconds"}.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson
import psycopg
from psycopg import sql

from tests.benchmarks import record
from tests.benchmarks.by_hand import upsert
from tests.benchmarks.child import orders, run, say

Row = tuple[Any, ...]


class Copier:
    """A connection, and the table that it writes to."""

    def __init__(
        self, dsn: str, table: Sequence[str], fields: Sequence[tuple[str, str]]
    ) -> None:
        self.connection = psycopg.connect(dsn)
        self.cursor = self.connection.cursor()
        ids = {name: field_id for field_id, name in record.FIELD_IDS.items()}
        self._ids = [ids[name] for _, name in fields]
        columns = ["id", "created_time", *(column for column, _ in fields)]
        self._upsert = upsert(table, columns)
        self._copy = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(*table), sql.SQL(", ").join(map(sql.Identifier, columns))
        )

    def rows(self, body: bytes) -> list[Row]:
        """A page's rows as psycopg takes them; Postgres reads dates and times by itself."""
        return [
            (
                one["id"],
                one["createdTime"],
                *(_cell(one["fields"].get(field_id)) for field_id in self._ids),
            )
            for one in orjson.loads(body)["records"]
        ]

    def text(self, body: bytes) -> str:
        """A page's rows as COPY reads them."""
        return "".join("\t".join(map(_escaped, row)) + "\n" for row in self.rows(body))

    def copy(self, rows: Sequence[Row]) -> None:
        with self.cursor.copy(self._copy) as copy:
            for row in rows:
                copy.write_row(row)

    def copy_text(self, text: str) -> None:
        with self.cursor.copy(self._copy) as copy:
            copy.write(text)

    def upsert(self, row: Row) -> None:
        self.cursor.execute(self._upsert, row, prepare=True)

    def end(self) -> None:
        self.connection.commit()


def _cell(value: Any) -> Any:
    return orjson.dumps(value).decode() if isinstance(value, dict) else value


def _escaped(value: Any) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, list):
        value = "{" + ",".join(json.dumps(item, ensure_ascii=False) for item in value) + "}"
    escaped = str(value).replace("\\", "\\\\").replace("\n", "\\n")
    return escaped.replace("\t", "\\t").replace("\r", "\\r")


def _by_page(copier: Copier, pages: Sequence[list[Row]]) -> None:
    for rows in pages:
        copier.copy(rows)
        copier.end()


def _at_once(copier: Copier, pages: Sequence[list[Row]]) -> None:
    copier.copy([row for rows in pages for row in rows])
    copier.end()


def _as_text(copier: Copier, pages: Sequence[str]) -> None:
    for text in pages:
        copier.copy_text(text)
        copier.end()


def _from_bytes(copier: Copier, pages: Sequence[bytes]) -> None:
    for body in pages:
        copier.copy(copier.rows(body))
        copier.end()


def _row_by_row(copier: Copier, pages: Sequence[list[Row]]) -> None:
    for rows in pages:
        for row in rows:
            copier.upsert(row)
            copier.end()


def _row_by_row_in_pages(copier: Copier, pages: Sequence[list[Row]]) -> None:
    for rows in pages:
        for row in rows:
            copier.upsert(row)
        copier.end()


Ready = Callable[[Copier, bytes], Any]

# Name -> what is made of a page before the clock starts, and what is done after.
WAYS: Final[dict[str, tuple[Ready, Callable[[Copier, Any], None]]]] = {
    "copy by page": (Copier.rows, _by_page),
    "copy at once": (Copier.rows, _at_once),
    "copy of text": (Copier.text, _as_text),
    "copy from bytes": (lambda _, body: body, _from_bytes),
    "upserts": (Copier.rows, _row_by_row),
    "upserts in pages": (Copier.rows, _row_by_row_in_pages),
}


async def serve(dsn: str, table: list[str], columns: list[list[str]]) -> None:
    """Takes orders until the parent is gone. `columns` are (column, field name) pairs."""
    copier = Copier(dsn, table, [(column, name) for column, name in columns])
    async for order in orders():
        ready, write = WAYS[order["way"]]
        numbers = range(order["first"], order["first"] + order["pages"])
        pages = [ready(copier, record.page(number)) for number in numbers]
        began = time.monotonic()
        write(copier, pages)
        say({"seconds": time.monotonic() - began})


if __name__ == "__main__":
    run(serve(**json.loads(sys.argv[1])))
