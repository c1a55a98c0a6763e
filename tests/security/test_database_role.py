"""httpproxy runs with a role that may do nothing else, whatever stands in the way there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from lives import live_through
from neighbours.logwatch import planted
from psycopg.sql import SQL, Identifier, Literal

from httpproxy.store.database import Database, migrate
from httpproxy.store.grants import grants
from httpproxy.store.streams.retention import Retention

ROLE, READERS = "keeper of 'rows\"", "reporting"
# What a hostile neighbour puts in the way: functions that fit better than Postgres' own,
# which take any type, and tables with the names of ours.
SHADOWS = """
CREATE SCHEMA evil;
CREATE FUNCTION evil.hijacked() RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'hijacked as %', current_user; END $$;
CREATE FUNCTION evil.lower(text) RETURNS text LANGUAGE sql AS 'SELECT evil.hijacked()';
"""
TAKING_ANY = """
SELECT p.oid::regprocedure::text AS name, p.proname, p.prokind
FROM pg_catalog.pg_proc p
WHERE p.pronamespace = 'pg_catalog'::regnamespace AND EXISTS (
    SELECT FROM unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) a
    JOIN pg_type t ON t.oid = a WHERE t.typtype = 'p' AND t.typname LIKE 'any%')
"""
OURS = ("migration", "sync", "collection", "field", "meta", "dirty", "event", "credential",
        "epoch", "process", "clock", "tasks", "progress", "run", "seen", "feed", "event_era",
        "event_dropped", "event_later", "record", "record_progress")  # fmt: skip
DAYS_OF_EVENTS = "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'"
ONE_OLD_DAY = """
DO $$
DECLARE
    first text := (SELECT min(relname) FROM pg_class WHERE relname ~ '^event_[0-9]{8}$');
BEGIN
    EXECUTE 'DROP TABLE httpproxy.' || first;
    PERFORM httpproxy.make_event_day((now() - interval '5 days')::date);
END $$"""


@pytest.fixture
def roles(empty_database_dsn: str) -> Iterator[str]:
    """Roles with a password of their own; gives back the DSN as which ours connects."""
    password = planted("a role's password")
    with psycopg.connect(empty_database_dsn, autocommit=True) as owner:
        for role in (ROLE, READERS):
            owner.execute(
                SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                    Identifier(role), Literal(password)
                )
            )
        owner.execute("CREATE SCHEMA payroll; CREATE TABLE payroll.salaries (amount int)")
        owner.execute("REVOKE TEMPORARY ON DATABASE template1 FROM PUBLIC")
        yield _as(empty_database_dsn, ROLE, password)
        for role in (ROLE, READERS):
            owner.execute(SQL("DROP OWNED BY {} CASCADE").format(Identifier(role)))
            owner.execute(SQL("DROP ROLE {}").format(Identifier(role)))


def _as(dsn: str, role: str, password: str) -> str:
    at = urlsplit(dsn)
    quoted = role.replace("%", "%25").replace(" ", "%20").replace('"', "%22")
    where = f"{quoted}:{password}@{at.hostname}:{at.port}"
    return urlunsplit(at._replace(netloc=where))


def granted(dsn: str, *, readers: str | None = None) -> None:
    """What the database's owner does with the output of `httpproxy db grant`."""
    with psycopg.connect(dsn, autocommit=True) as owner:
        for _ in range(2):  # running it again changes nothing
            owner.execute(grants(ROLE, readers).encode())


async def test_a_role_without_grants_cannot_even_begin(roles: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await migrate(roles)


async def test_the_granted_role_does_all_there_is_to_do_and_reads_nothing_else(
    roles: str, empty_database_dsn: str, tmp_path: Path
) -> None:
    granted(empty_database_dsn)
    await live_through(roles, tmp_path)
    with psycopg.connect(roles, autocommit=True) as ours:
        for forbidden in (
            "SELECT * FROM payroll.salaries",
            "CREATE TABLE payroll.x (a int)",
            "CREATE TABLE public.x (a int)",
            "CREATE ROLE another",
            "CREATE DATABASE another",
            "SELECT * FROM pg_authid",
            "SELECT pg_read_file('/etc/passwd')",
            "COPY (SELECT 1) TO PROGRAM 'true'",
            f"DROP SCHEMA {'payroll'}",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                ours.execute(forbidden.encode())
        shown = ours.execute("SHOW idle_in_transaction_session_timeout").fetchone()
    assert shown == ("1min",)


async def test_the_role_makes_and_drops_days_of_events(
    roles: str, empty_database_dsn: str
) -> None:
    granted(empty_database_dsn)
    async with Database(roles) as database:
        with psycopg.connect(roles, autocommit=True) as ours:
            ours.execute(ONE_OLD_DAY)
            assert await Retention(database, 1).run()
            days = {row[0] for row in ours.execute(DAYS_OF_EVENTS)}
    assert len(days) == 1 + 1 + 3, "the later ones, today, the days ahead"


async def test_readers_read_the_tables_of_syncs_and_nothing_of_ours(
    roles: str, empty_database_dsn: str
) -> None:
    granted(empty_database_dsn, readers=READERS)
    await migrate(roles)
    with psycopg.connect(roles, autocommit=True) as ours:
        ours.execute("CREATE SCHEMA crm; CREATE TABLE crm.contact (id text)")
    reading = _as(roles, READERS, str(urlsplit(roles).password))
    with psycopg.connect(reading, autocommit=True) as reader:
        assert reader.execute("SELECT * FROM crm.contact").fetchall() == []
        for forbidden in (
            "INSERT INTO crm.contact VALUES ('x')",
            "DELETE FROM crm.contact",
            "SELECT secret FROM httpproxy.credential",
            "SELECT unique_id FROM httpproxy.sync",
            "SELECT data FROM httpproxy.event",
            "SELECT data FROM httpproxy.event_later",
            "SELECT upstream_id FROM httpproxy.record",
            "SELECT * FROM payroll.salaries",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(forbidden.encode())


def test_a_role_that_may_do_more_than_it_should_is_refused(
    roles: str, empty_database_dsn: str
) -> None:
    with psycopg.connect(empty_database_dsn, autocommit=True) as owner:
        owner.execute(SQL("ALTER ROLE {} CREATEROLE").format(Identifier(ROLE)))
        with pytest.raises(psycopg.errors.RaiseException, match="more than it should"):
            owner.execute(grants(ROLE).encode())
        with pytest.raises(psycopg.errors.RaiseException, match="make it first"):
            owner.execute(grants("nobody").encode())


def _put_in_the_way(dsn: str) -> None:
    """Tables of our names, and for every function that takes any type one that takes text,
    text[], jsonb or a row of ours and so fits better."""
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute(SHADOWS)
        for table in OURS:
            owner.execute(f"CREATE TABLE evil.{table} (hijacked int)".encode())
        names = {row[1] for row in owner.execute(TAKING_ANY) if row[2] == "f"}
        for name in sorted(names & {"to_jsonb", "unnest", "jsonb_build_object", "cardinality",
                                    "array_remove", "format", "jsonb_build_array",
                                    "array_append", "array_length", "to_json",
                                    "array_to_string"}):  # fmt: skip
            for arguments in ("text", "text[]", "jsonb", "text, jsonb", "text[], text",
                              "bigint[]", "integer[]", "numeric", "text, text",
                              "text, text, text"):  # fmt: skip
                owner.execute(
                    f"CREATE FUNCTION evil.{name}({arguments}) RETURNS text"
                    " LANGUAGE sql AS 'SELECT evil.hijacked()'".encode()
                )
        owner.execute("GRANT USAGE ON SCHEMA evil TO PUBLIC")
        owner.execute("GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA evil TO PUBLIC")
        database = urlsplit(dsn).path[1:]
        owner.execute(f"ALTER DATABASE {database} SET search_path = evil, public".encode())


async def test_nothing_that_stands_in_the_search_path_is_called_or_written_to(
    empty_database_dsn: str, tmp_path: Path
) -> None:
    _put_in_the_way(empty_database_dsn)
    with (
        psycopg.connect(empty_database_dsn) as victim,
        pytest.raises(psycopg.errors.RaiseException, match="hijacked"),
    ):
        victim.execute("SELECT to_jsonb('x'::text)")
    await live_through(empty_database_dsn, tmp_path)
    with psycopg.connect(empty_database_dsn) as owner:
        for table in OURS:
            assert owner.execute(f"SELECT * FROM evil.{table}".encode()).fetchall() == []


def test_every_function_of_ours_has_its_own_search_path(database_dsn: str) -> None:
    with psycopg.connect(database_dsn) as owner:
        found = owner.execute(
            "SELECT oid::regprocedure::text, proconfig FROM pg_proc"
            " WHERE pronamespace = 'httpproxy'::regnamespace"
        ).fetchall()
    assert len(found) > 7
    assert [name for name, config in found if 'search_path=""' not in (config or [])] == []
