"""The statements on a user's table, composed from the templates of tables.sql.

The only place where names of the user's making become SQL; psycopg quotes them. A
statement is composed once per layout of a table and then kept as bytes, with `$1`
for its parameter, so that no text is built or parsed on the way of a commit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json import dumps
from typing import Final, LiteralString

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from httpproxy.store.layouts.evolution import Retype
from httpproxy.store.layouts.tables import EXTRA, INSERTED_AT, UPDATED_AT, Column, Table
from httpproxy.store.queries import load
from providers.record import ColumnType

_TEMPLATES: Final = {
    **load("layouts/tables.sql"),
    **load("sync/comparing.sql"),
    **load("sync/rows.sql"),
}

TYPES: Final[Mapping[ColumnType, SQL]] = {
    ColumnType.TEXT: SQL("text"),
    ColumnType.NUMERIC: SQL("numeric"),
    ColumnType.BOOLEAN: SQL("boolean"),
    ColumnType.DATE: SQL("date"),
    ColumnType.TIMESTAMPTZ: SQL("timestamptz"),
    ColumnType.TEXT_ARRAY: SQL("text[]"),
    ColumnType.JSONB: SQL("jsonb"),
}

# From jsonb; NULL where the value does not fit. Migration 0001 defines them.
_CASTS: Final[Mapping[ColumnType, SQL]] = {
    ColumnType.TEXT: SQL("httpproxy.as_text({})"),
    ColumnType.NUMERIC: SQL("httpproxy.as_numeric({})"),
    ColumnType.BOOLEAN: SQL("httpproxy.as_boolean({})"),
    ColumnType.DATE: SQL("httpproxy.as_date({})"),
    ColumnType.TIMESTAMPTZ: SQL("httpproxy.as_timestamptz({})"),
    ColumnType.TEXT_ARRAY: SQL("httpproxy.as_text_array({})"),
    ColumnType.JSONB: SQL("httpproxy.as_jsonb({})"),
}

COMMA: Final = SQL(", ")

# On a merge, what the image answers for leaves `_extra`; what it cannot place enters.
_NEW_EXTRA: Final = SQL(
    "CASE WHEN g.f THEN coalesce(g.x, '{{}}')"
    " ELSE (coalesce(t.{0}, '{{}}') - coalesce(g.n, '{{}}')) || coalesce(g.x, '{{}}') END"
).format(Identifier(EXTRA))


class Statements:
    """What a commit may do to one table; `archive` is None if it has no such column."""

    __slots__ = ("archive", "delete", "judge", "try_values", "upsert")

    def __init__(self, table: Table) -> None:
        parts = parts_of(table)
        self.upsert = _bytes("upsert", parts)
        self.delete = _bytes("delete", parts)
        self.judge = _bytes("judge", parts)
        self.try_values = _bytes("try_values", parts)
        archived = table.archived_column
        self.archive = (
            _bytes(
                "archive",
                {
                    **parts,
                    "archived": Identifier(archived),
                    "contents": _contents(table, archived),
                },
            )
            if archived
            else None
        )


def _bytes(name: str, parts: Mapping[str, Composable]) -> bytes:
    return compose(name, parts).as_bytes(None)


def compose(name: str, parts: Mapping[str, Composable]) -> Composed:
    """The template of this name with its identifiers and literals."""
    return SQL(_TEMPLATES[name]).format(**parts)


def parts_of(table: Table) -> dict[str, Composable]:
    """What the templates of statements on rows name."""
    key = [Identifier(column.name) for column in table.key]
    columns = [Identifier(column.name) for column in table.columns]
    kept = [*(c for c in columns if c not in key), Identifier(EXTRA)]
    return {
        **names(table),
        "number": Literal(table.number),
        "version": Literal(table.version),
        "sync_id": Literal(table.sync_id),
        "collection_id": Literal(table.collection.id),
        # Not needed, but it keeps the planner from reading the whole of a small table,
        # by a plan that is kept when the table has grown.
        "is_near": SQL("t.{} = ANY (ARRAY(SELECT (k->>0)::{} FROM _given))").format(
            key[0], TYPES[table.key[0].field.column_type]
        ),
        "key": COMMA.join(key),
        "is_row": SQL(" AND ").join(
            SQL("t.{} = (g.k->>{})::{}").format(
                Identifier(column.name), Literal(n), TYPES[column.field.column_type]
            )
            for n, column in enumerate(table.key)
        ),
        "columns": COMMA.join(columns),
        "new_columns": _each("n.{}", columns),
        "new_extra": _NEW_EXTRA,
        "new_values": SQL(", ").join([*(SQL("n.{}").format(c) for c in kept[:-1]), _NEW_EXTRA]),
        "old_values": _each("t.{}", kept),
        "assignments": _each("{0} = excluded.{0}", kept),
        "changes": COMMA.join(
            [
                *(_change(c.field.id, c.name) for c in table.columns if c not in table.key),
                _change(EXTRA, EXTRA),
            ]
        ),
        "contents": _contents(table),
        **_telling(table),
    }


def _telling(table: Table) -> dict[str, Composable]:
    """Which event an upsert is, NULL for none; what a row held that it archives; and whether
    a row is archived."""
    if table.archived_column is None:
        told = SQL("CASE WHEN t._found THEN 'updated' ELSE 'created' END")
        return {"event": told, "held": SQL("NULL::text"), "is_archived": SQL("false")}
    event = SQL(
        "CASE WHEN n.{0} THEN CASE WHEN t.{0} IS NOT TRUE THEN 'deleted' END"
        " WHEN t._found AND t.{0} IS NOT TRUE THEN 'updated' ELSE 'created' END"
    )
    held = SQL(
        "CASE WHEN n.{} AND t.{} IS NOT TRUE"
        " THEN '{{' || pg_catalog.array_to_string(ARRAY[{}], ',') || '}}' END"
    )
    archived = Identifier(table.archived_column)
    return {
        "event": event.format(archived),
        "held": held.format(archived, archived, _contents(table, table.archived_column)),
        "is_archived": SQL("t.{} IS TRUE").format(archived),
    }


def _change(key: str, name: str) -> Composed:
    """What a column held, where that is not what it will hold."""
    column = Identifier(name)
    new = _NEW_EXTRA if name == EXTRA else SQL("n.{}").format(column)
    return SQL("CASE WHEN {} IS DISTINCT FROM t.{} THEN {} END").format(
        new, column, _member(key, name, "coalesce(pg_catalog.to_json(t.{})::text, 'null')")
    )


def _contents(table: Table, without: str | None = None) -> Composed:
    """What the columns hold, those that hold anything."""
    held = [column for column in table.columns if column.name != without]
    return COMMA.join(
        [
            *(_member(c.field.id, c.name, "pg_catalog.to_json(t.{})::text") for c in held),
            _member(EXTRA, EXTRA, "pg_catalog.to_json(nullif(t.{}, '{{}}'))::text"),
        ]
    )


def _member(key: str, name: str, value: LiteralString) -> Composed:
    """A member of an object, as JSON's text: that takes half of what jsonb's own functions
    take to make an object and to leave out of it what has not changed. It goes by the field's
    id: tomorrow a column of this name may be another field's."""
    opening = Literal(f"{dumps(key)}:")
    return SQL("{} || {}").format(opening, SQL(value).format(Identifier(name)))


def _each(pattern: LiteralString, columns: list[Identifier]) -> Composed:
    return COMMA.join(SQL(pattern).format(column) for column in columns)


def names(table: Table) -> dict[str, Composable]:
    """The identifiers that every statement on a table may name."""
    return {
        "schema": Identifier(table.schema_name),
        "table": Identifier(table.schema_name, table.name),
        "extra": Identifier(EXTRA),
        "inserted_at": Identifier(INSERTED_AT),
        "updated_at": Identifier(UPDATED_AT),
    }


def create_table(table: Table) -> Composed:
    """Makes the table, unless it is there."""
    definitions = COMMA.join(_definition(column) for column in table.columns)
    key = COMMA.join(Identifier(column.name) for column in table.key)
    return compose("create_table", {**names(table), "definitions": definitions, "key": key})


def add_columns(table: Table) -> Composed:
    """Adds whatever columns are missing."""
    additions = COMMA.join(
        SQL("ADD COLUMN IF NOT EXISTS {}").format(_definition(column))
        for column in table.columns
    )
    return compose("add_columns", {**names(table), "additions": additions})


def _definition(column: Column) -> Composed:
    return SQL("{} {}").format(Identifier(column.name), TYPES[column.field.column_type])


def rename_column(table: Table, column: str, new_name: str) -> Composed:
    """Gives a column another name; views that show it go on."""
    parts = {"column": Identifier(column), "new_name": Identifier(new_name)}
    return compose("rename_column", {**names(table), **parts})


def count_unfit(table: Table, retype: Retype) -> Composed:
    """Counts what a column holds, and what of it the new type could not."""
    return compose("count_unfit", _retyping(table, retype))


def keep_unfit(table: Table, retype: Retype) -> Composed:
    """Sets values aside that the new type cannot hold."""
    return compose("keep_unfit", _retyping(table, retype))


def change_type(table: Table, retype: Retype) -> Composed:
    """Changes the type of a column; what the new one cannot hold becomes NULL."""
    return compose("change_type", _retyping(table, retype))


def _retyping(table: Table, retype: Retype) -> dict[str, Composable]:
    field, name = retype.column.field, Identifier(retype.column.name)
    return {
        **names(table),
        "column": name,
        "type": TYPES[retype.to],
        "converted": _conversion(field.column_type, retype.to, name),
        "field_name": Literal(field.name),
    }


_SPECIAL: Final[Mapping[tuple[ColumnType, ColumnType], SQL]] = {
    # Only a midnight is a day and nothing more.
    (ColumnType.TIMESTAMPTZ, ColumnType.DATE): SQL(
        "CASE WHEN {0} = date_trunc('day', {0}, 'UTC') THEN ({0} AT TIME ZONE 'UTC')::date END"
    ),
}


def _conversion(old: ColumnType, to: ColumnType, name: Identifier) -> Composed:
    if (old, to) in _SPECIAL:
        return _SPECIAL[old, to].format(name)
    value = SQL("pg_catalog.to_jsonb({})").format(name)
    if to is ColumnType.TEXT_ARRAY and old not in (to, ColumnType.JSONB):
        return SQL("CASE WHEN {0} IS NOT NULL THEN ARRAY[httpproxy.as_text({1})] END").format(
            name, value
        )
    return _CASTS[to].format(value)


def move_over(table: Table, column: Column) -> Composed:
    """Moves values from `_extra` into their column, where they fit."""
    field = column.field
    value = SQL("({} -> {})").format(Identifier(EXTRA), Literal(field.name))
    parts = {
        **names(table),
        "column": Identifier(column.name),
        "field_name": Literal(field.name),
        "converted": _CASTS[field.column_type].format(value),
        # As `providers.values.fit` takes them.
        "fits": SQL("jsonb_typeof({}) IN ('string', 'number', 'boolean')").format(value)
        if field.column_type is ColumnType.TEXT
        else SQL("true"),
    }
    return compose("move_over", parts)


def rename_extra(table: Table, relabels: Sequence[tuple[str, str]]) -> Composed:
    """Gives values in `_extra` their fields' new names."""
    parts = {
        "old_names": SQL("{}::text[]").format(Literal([old for old, _ in relabels])),
        "new_names": SQL("{}::text[]").format(Literal([new for _, new in relabels])),
    }
    return compose("rename_extra", {**names(table), **parts})


def forget_extra(table: Table, spellings: Sequence[str]) -> Composed:
    """Takes values out of `_extra`, by their fields' names."""
    parts = {"spellings": SQL("{}::text[]").format(Literal(list(spellings)))}
    return compose("forget_extra", {**names(table), **parts})


def drop_column(table: Table, column: str) -> Composed:
    """Drops a column and what it holds."""
    return compose("drop_column", {**names(table), "column": Identifier(column)})


def find_match(table: Table, field_id: str) -> bytes:
    """Finds the key of the rows that hold a value, given as text in `$1`."""
    return compose(
        "find_match",
        {
            **names(table),
            "key": COMMA.join(Identifier(column.name) for column in table.key),
            "match": Identifier(table.names[field_id]),
        },
    ).as_bytes(None)
