"""`httpproxy db`: where the tables are, and a look into them without psql."""

from __future__ import annotations

from typing import Any

import click
import psycopg
from psycopg.rows import tuple_row

from httpproxy.cli.failures import Failure
from httpproxy.cli.invocation import Invocation
from httpproxy.cli.output import as_json, as_table
from httpproxy.cli.running import run
from httpproxy.office import database_dsn
from httpproxy.settings.reading import Settings
from httpproxy.store.database import Database
from httpproxy.store.embedded.server import running_dsn
from httpproxy.store.grants import grants
from httpproxy.store.sharing.epochs import Epochs


@click.group()
def db() -> None:
    """The database that the tables are in."""


@db.command()
@click.pass_obj
def url(invocation: Invocation) -> None:
    """Print the database's URL, password included: for psql and your application.

    The embedded Postgres has one only while `httpproxy serve` or `demo` runs.

    \b
    Example
      psql "$(httpproxy db url)"
    """
    settings = invocation.settings()
    if settings.database_url is not None:
        click.echo(settings.database_url.get_secret_value())
        return
    dsn = running_dsn(settings.data_dir)
    if dsn is None:
        raise Failure(
            f"the embedded Postgres in {settings.data_dir} is not running; start"
            " `httpproxy serve`, or set DATABASE_URL"
        )
    click.echo(dsn)


@db.command()
@click.pass_obj
def epoch(invocation: Invocation) -> None:
    """Say that the database has lost the end of its history: after a restore.

    A promoted standby and another cluster are noticed by themselves. A backup that was put
    back in place (a snapshot of the disk) is not: run this before anything else does.
    What was read before is not committed any more, and all collections are listed anew.

    \b
    Example
      httpproxy db epoch
    """
    settings = invocation.settings()
    number = run(settings, _begin_epoch(settings))
    click.echo(f"epoch {number} begins; all collections are listed anew")


async def _begin_epoch(settings: Settings) -> int:
    async with database_dsn(settings) as dsn, Database(dsn) as database:
        return await Epochs(database).begin()


@db.command()
@click.argument("role")
@click.option("--readers", metavar="ROLE", help="A role that reads the syncs' tables.")
@click.option(
    "--schema",
    "schemas",
    multiple=True,
    help="A schema of yours that a sync is to keep its tables in. Can be repeated.",
)
def grant(role: str, readers: str | None, schemas: tuple[str, ...]) -> None:
    """Print the SQL that lets ROLE run httpproxy in a database, and nothing else there.

    For a database that belongs to somebody else: he reads it, and runs it. It asks no
    database.

    \b
    Example
      httpproxy db grant httpproxy --readers reporting > grants.sql
    """
    click.echo(grants(role, readers, schemas), nl=False)


@db.command()
@click.argument("sql")
@click.option("--json", "wants_json", is_flag=True, help="A list of objects, for scripts.")
@click.pass_obj
def query(invocation: Invocation, sql: str, wants_json: bool) -> None:
    """Run one SQL statement that reads, and print the rows. Writing is refused.

    \b
    Example
      httpproxy db query "select * from airtable_tasks.tasks limit 5"
    """
    settings = invocation.settings()
    columns, rows = run(settings, _query(settings, sql))
    if not wants_json:
        as_table(columns, rows)
        click.echo(f"({len(rows)} row{'' if len(rows) == 1 else 's'})", err=True)
        return
    as_json([dict(zip(columns, row, strict=True)) for row in rows])


async def _query(settings: Settings, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    async with (
        database_dsn(settings) as dsn,
        await psycopg.AsyncConnection.connect(dsn, row_factory=tuple_row) as connection,
    ):
        await connection.set_read_only(True)
        try:
            # The extended protocol takes a single statement, so none can end the
            # read-only transaction and go on writing.
            cursor = await connection.execute(sql.encode(), prepare=True)
        except psycopg.Error as error:
            raise Failure(f"Postgres says: {error}") from error
        if cursor.description is None:
            raise Failure("that statement returns no rows; `db query` is for reading")
        return [column.name for column in cursor.description], await cursor.fetchall()
