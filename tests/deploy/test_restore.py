"""The runbook's backup and restore: what was written after the backup comes back."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from neighbours.airtable_house import open_airtable
from neighbours.house import open_house
from neighbours.rows import dsn_of, rows

from httpproxy.store.embedded.binaries import find_binaries


def postgres(dsn: str, program: str, *arguments: str) -> None:
    """Runs a program of Postgres; arguments are seen by everybody, so the DSN is none."""
    at = urlsplit(dsn)
    settings = {
        "PGHOST": at.hostname,
        "PGPORT": str(at.port),
        "PGUSER": at.username,
        "PGPASSWORD": at.password,
    }
    subprocess.run(
        [find_binaries(None, None).folder / program, *arguments],
        env={name: value for name, value in settings.items() if value},
        check=True,
    )


async def test_rows_that_were_written_after_the_backup_are_read_again_after_a_restore(
    postgres_dsn: str, database_dsn: str, tmp_path: Path
) -> None:
    backup, restored = tmp_path / "httpproxy.dump", dsn_of(postgres_dsn, "restored")
    async with open_airtable(database_dsn, tmp_path) as base:
        table = base.table()
        kept = await asyncio.to_thread(table.create, {"Name": "before the backup"})
        await asyncio.to_thread(
            postgres,
            database_dsn,
            "pg_dump",
            "--format=custom",
            f"--file={backup}",
            urlsplit(database_dsn).path[1:],
        )
        await asyncio.to_thread(table.update, kept["id"], {"Name": "after the backup"})
        await asyncio.to_thread(table.create, {"Name": "later still"})
        with psycopg.connect(postgres_dsn, autocommit=True) as connection:
            connection.execute("CREATE DATABASE restored")
        try:
            await asyncio.to_thread(
                postgres,
                restored,
                "pg_restore",
                "--exit-on-error",
                "--dbname=restored",
                str(backup),
            )
            with psycopg.connect(restored) as connection:
                # Whoever served when the backup was made is gone, and nobody waits for that.
                connection.execute("DELETE FROM httpproxy.process")
            told = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-m", "httpproxy", "db", "epoch"],
                env={**os.environ, "DATABASE_URL": restored},  # noqa: TID251  a child's
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=True,
            )
            assert told.stdout == "epoch 2 begins; all collections are listed anew\n"
            both = ("gateway", "sync")
            async with open_house(restored, tmp_path, base.apis.upstreams, roles=both):
                async with asyncio.timeout(60):
                    while True:
                        found = rows(restored, base.schema, base.table_name)
                        names = {row["name"] for row in found.values()}
                        if names == {"after the backup", "later still"}:
                            break
                        await asyncio.sleep(0.1)
        finally:
            with psycopg.connect(postgres_dsn, autocommit=True) as connection:
                connection.execute("DROP DATABASE IF EXISTS restored WITH (FORCE)")
    assert found[kept["id"]]["name"] == "after the backup"
