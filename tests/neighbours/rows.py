"""Reading the database as its user does: a fresh connection, a plain SELECT."""

from __future__ import annotations

from typing import Any, cast

import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier


def dsn_of(server_dsn: str, database: str) -> str:
    """The DSN of another database of the same server."""
    return f"{server_dsn.rsplit('/', 1)[0]}/{database}"


def rows(dsn: str, schema: str, table: str, key: str = "id") -> dict[Any, dict[str, Any]]:
    """All rows of a table by their key, as a connection made this moment sees them.

    Blocks: where a service in this very loop may be changing the table, ask in a thread."""
    query = SQL("SELECT * FROM {}").format(Identifier(schema, table))
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        connection.execute("SET LOCAL lock_timeout = '30s'")
        found = cast("list[dict[str, Any]]", connection.execute(query).fetchall())
    return {row[key]: row for row in found}


def columns(dsn: str, schema: str, table: str) -> dict[str, str]:
    """The table's columns and their types as Postgres names them, in order."""
    query = SQL(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = {}::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
    ).format(SQL("%s"))
    name = Identifier(schema, table)
    with psycopg.connect(dsn) as connection:
        found = connection.execute(query, (name.as_string(connection),)).fetchall()
    return {str(column): str(type_) for column, type_ in found}
