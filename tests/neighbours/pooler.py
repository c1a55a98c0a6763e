"""pgbouncer in transaction mode before the tests' Postgres: every transaction may run on
another server connection, which others use before and after."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from httpproxy.store.embedded.cluster import environment
from httpproxy.store.embedded.premises import _new_servant
from neighbours.ports import free_port

SETTINGS = """
[databases]
* = host=127.0.0.1 port={server} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = 6
server_idle_timeout = 5
ignore_startup_parameters = extra_float_digits
"""


def program() -> str | None:
    """Where pgbouncer is installed, None if it is not."""
    return shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


@contextmanager
def open_pooler(dsn: str) -> Iterator[str]:
    """The DSN by which the database of `dsn` is reached through a pooler."""
    binary = program()
    assert binary is not None, "pgbouncer is not installed: apt-get install pgbouncer"
    at = urlsplit(dsn)
    port = free_port()
    # It refuses to run as root, and so it runs as whoever the server runs as.
    folder = Path(tempfile.mkdtemp(prefix="httpproxy-pooler-"))
    servant = _new_servant()
    folder.joinpath("users").write_text(f'"{at.username}" "{at.password}"\n')
    folder.joinpath("settings").write_text(
        SETTINGS.format(
            server=at.port, user=at.username, password=at.password, port=port, folder=folder
        )
    )
    for each in (folder / "users", folder / "settings"):
        servant.hand_over(each, 0o600)
    servant.hand_over(folder, 0o700)
    process = subprocess.Popen(
        [binary, "-q", folder / "settings"], cwd="/", stdin=subprocess.DEVNULL,
        env=environment(), **servant.popen(),
    )  # fmt: skip
    pooled = f"postgresql://{at.netloc.rpartition(':')[0]}:{port}{at.path}"
    try:
        _wait_for(pooled, process)
        yield pooled
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder)


def _wait_for(dsn: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60.0
    while True:
        try:
            psycopg.connect(dsn, connect_timeout=5).close()
        except psycopg.OperationalError:
            assert process.poll() is None, "pgbouncer has ended"
            assert time.monotonic() < deadline, "pgbouncer does not answer"
            time.sleep(0.05)
        else:
            return
