"""A streaming standby of the test run's server: made by pg_basebackup, run by our launcher."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from httpproxy.store.embedded.binaries import find_binaries
from httpproxy.store.embedded.premises import settle, within_reach
from httpproxy.store.embedded.server import EmbeddedPostgres


@contextmanager
def standby_of(primary_dsn: str) -> Iterator[str]:
    """The DSN of a standby that follows the server of `primary_dsn`; read-only."""
    folder = Path(tempfile.mkdtemp(prefix="httpproxy-standby-"))
    folder.chmod(0o755)
    try:
        premises = settle(folder)
        at = urlsplit(primary_dsn)
        premises.password_file.write_text(f"{at.password}\n")
        without = primary_dsn.replace(f":{at.password}@", "@")  # others read command lines
        programs = within_reach(premises.servant, find_binaries(None, None)).folder
        subprocess.run(
            [programs / "pg_basebackup", "-D", premises.data, "-d", without,
             "--write-recovery-conf", "--checkpoint=fast", "--no-sync"],
            check=True,
            capture_output=True,
            cwd="/",
            env={"PGPASSWORD": f"{at.password}"},
            **premises.servant.popen(),
        )  # fmt: skip
        with EmbeddedPostgres(folder, settings={"fsync": "off"}) as server:
            yield server.dsn
    finally:
        shutil.rmtree(folder)


@contextmanager
def replay_paused(standby_dsn: str) -> Iterator[None]:
    """Nothing of what the primary commits is seen on the standby meanwhile."""
    with psycopg.connect(standby_dsn, autocommit=True) as connection:
        connection.execute("SELECT pg_wal_replay_pause()")
        try:
            while True:
                state = connection.execute("SELECT pg_get_wal_replay_pause_state()")
                if state.fetchone() == ("paused",):
                    break
            yield
        finally:
            connection.execute("SELECT pg_wal_replay_resume()")
