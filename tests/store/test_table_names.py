"""Names of tables and columns, whatever the user calls them."""

from __future__ import annotations

import re

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpproxy.store.database import Database
from httpproxy.store.layouts import evolution
from httpproxy.store.layouts.tables import SYSTEM_COLUMNS, free_name, snake_case
from httpproxy.store.registry import Registry
from httpproxy.store.secrets.vault import Vault
from providers.record import Collection, ColumnType, Field
from tests.store.world import ID, KEY, make_sync

PLAIN = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")
NAUGHTY = (
    "",
    " ",
    "Name",
    "name",
    "NAME ",
    "Name_2",
    "Due Date",
    "dueDate",
    "HTTPServer2Go",
    "Größe",
    "naïve café",
    "日本語",
    "🦄",
    "select",
    "user",
    "order by",
    "id",
    "ID",
    "xmin",
    "ctid",
    "tableoid",
    "_extra",
    "_sync_updated_at",
    "_row",
    "2024",
    "a" * 100,
    "a" * 99 + "b",
    "é" * 80,
    '"; DROP TABLE x; --',
    "'",
    "%s %(x)s {y} $1",
    "a\0b",
    "\ud800",
    "\u202etxt",
    "ﬃ",
    "İstanbul",
    "r",
    "k",
    "v",
    "n",
    "t",
    "g",
    "m",
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Due Date", "due_date"),
        ("firstName", "first_name"),
        ("HTTPServer", "http_server"),
        ("  --Über  uns!! ", "uber_uns"),
        ("Straße", "strasse"),
        ("hs_object_id", "hs_object_id"),
        ("日本", ""),
        ("a" * 70, "a" * 63),
    ],
)
def test_names_become_snake_case(text: str, name: str) -> None:
    assert snake_case(text) == name


def test_names_that_collide_get_suffixes_and_stay_within_63_bytes() -> None:
    taken: set[str] = set()
    for _ in range(4):
        taken.add(free_name("Name", "fld1", taken))
    assert sorted(taken) == ["name", "name_", "name_2", "name_3"]
    long = free_name("a" * 80, "x", {"a" * 63, "a" * 62 + "_"})
    assert long == "a" * 61 + "_2"
    assert free_name("ctid", "x", ()) == "ctid_"
    assert free_name("日本", "fldAbC1", ()) == "fld_ab_c1"
    assert free_name("日本", "🦄", ()) == "unnamed"


TEXTS = st.sampled_from(NAUGHTY) | st.text(max_size=80)


@given(st.lists(TEXTS, max_size=40))
def test_every_column_has_a_name_of_its_own(names: list[str]) -> None:
    fields = tuple(Field(f"f{n}", t, "t", ColumnType.TEXT) for n, t in enumerate(names))
    columns = [kept.column for kept in evolution.layout(Collection("c", "C", (ID, *fields)))]
    assert columns[0] == "id"
    assert len(set(columns)) == len(columns)
    for name in columns[1:]:
        assert name is not None
        assert PLAIN.fullmatch(name.rstrip("_")), name
        assert len(name.encode()) <= 63
        assert name not in SYSTEM_COLUMNS


@given(st.lists(TEXTS, min_size=1, max_size=20), st.lists(TEXTS, max_size=5))
@settings(max_examples=50)
def test_a_name_once_given_stays(names: list[str], more: list[str]) -> None:
    def collection(texts: list[str]) -> Collection:
        fields = (Field(f"f{n}", t, "t", ColumnType.TEXT) for n, t in enumerate(texts))
        return Collection("c", "C", (ID, *fields))

    before = evolution.layout(collection(names))
    columns = frozenset(kept.column for kept in before if kept.column)
    plan = evolution.plan(before, collection(names + more), evolution.Present(columns))
    assert plan.fields[: len(before)] == before
    assert plan.renames == ()
    assert len(plan.added) == len(more)


async def test_postgres_takes_every_naughty_name(database_dsn: str) -> None:
    texts = [text.replace("\0", "").encode(errors="ignore").decode() for text in NAUGHTY]
    fields = tuple(Field(f"f{n}", t, "t", ColumnType.TEXT) for n, t in enumerate(texts))
    collections = tuple(
        Collection(f"c{n}", text, (ID, *fields)) for n, text in enumerate(texts[:12])
    )
    async with Database(database_dsn) as database:
        registry = Registry(database, Vault(KEY))
        sync = await make_sync(registry, 'naughty "; --', collections)
        tables = await registry.tables(sync)
    assert sync.schema_name == "airtable_naughty"
    with psycopg.connect(database_dsn) as connection:
        found = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'airtable_naughty' AND column_name NOT LIKE '\\_%'"
        ).fetchall()
    expected = {(t.name, c.name) for t in tables.tables.values() for c in t.columns}
    assert set(found) == expected
    assert len(expected) == 12 * (len(fields) + 1)
